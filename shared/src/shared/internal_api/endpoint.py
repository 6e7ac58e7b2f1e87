"""An internal call as a value: where it is asked, with what, and what comes back."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, StringConstraints


class WireModel(BaseModel):
    """A message between our own processes: closed, immutable, and silent about values in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Empty(WireModel):
    """An answer that says only that it was done."""


RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)


@dataclass(frozen=True)
class Endpoint(Generic[RequestT, ResponseT]):
    """``POST path`` with ``request`` as JSON is answered by ``response`` as JSON, or by a problem document."""

    path: str
    request: type[RequestT]
    response: type[ResponseT]


Client = Annotated[str, StringConstraints(max_length=32, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""What a client, or a dialect, calls itself."""


def _parse_address(given: Any) -> IPv4Address | IPv6Address:
    return given if isinstance(given, IPv4Address | IPv6Address) else ip_address(given)


Address = Annotated[IPv4Address | IPv6Address, PlainValidator(_parse_address), PlainSerializer(str, return_type=str)]
"""Where a call comes from. (pydantic's own ``IPvAnyAddress`` reads an address anew that is one, and loads 1 MiB.)"""

Number = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""E.164; the gateway has canonicalised it."""
