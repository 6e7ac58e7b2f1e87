"""The part of a request that says which app sent it, and from which network."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientContext:
    """The dialect and the client that sent a request.

    ``network`` is a prefix such as ``203.0.113.0/24``, or ``app shop`` if that app's server did not tell the user's
    address. It is empty for requests whose address is not recorded.
    """

    dialect: str
    client: str
    network: str = ""
