"""The part of a request that says which app sent it, and from which network."""

from dataclasses import dataclass
from typing import Protocol

from shared.networks import NetworkKey, RequestSource

NOWHERE = 0
"""The reference of no network: of a request that came without an address."""


@dataclass(frozen=True, slots=True)
class ClientContext:
    """The dialect and the client that sent a request.

    ``network`` is a prefix such as ``203.0.113.0/24``, or ``app shop`` if that app's server did not tell the user's
    address, and ``network_ref`` its keyed reference. They are empty and ``NOWHERE`` for requests whose address is not
    recorded. ``known_network`` is the same reference, or None if it is no network of the user's.
    """

    dialect: str
    client: str
    network: str = ""
    network_ref: int = NOWHERE
    known_network: int | None = None


NO_CONTEXT = ClientContext(dialect="", client="")
"""The context of a request that does not say where it came from."""

OPERATOR = ClientContext(dialect="", client="operator")
"""The context of what an operator does with a command."""


class AddressedRequest(Protocol):
    """A request that says where it came from."""

    @property
    def dialect(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def source(self) -> RequestSource: ...


class ClientContexts:
    """Reads the context of requests. The key of the references is the one that sms-service has too."""

    def __init__(self, network_key: NetworkKey) -> None:
        self._network_key = network_key

    def of(self, request: AddressedRequest) -> ClientContext:
        """The context of a request, with its network."""
        source = request.source
        ref = self._network_key.ref(source)
        known = None if source.address is None else ref
        return ClientContext(request.dialect, request.client, source.network, ref, known)

    def user_network(self, source: RequestSource) -> int | None:
        """The reference of a source's network, or None if it is no network of the user's."""
        return None if source.address is None else self._network_key.ref(source)
