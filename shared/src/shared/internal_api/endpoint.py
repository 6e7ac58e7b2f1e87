"""An internal call as a value: its path, its request model and its response model."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, StringConstraints


class WireModel(BaseModel):
    """A message between our own processes. It is immutable, rejects unknown fields, and its errors quote no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Empty(WireModel):
    """A response without content: the call succeeded."""


RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)


@dataclass(frozen=True)
class Endpoint(Generic[RequestT, ResponseT]):
    """``POST path`` takes ``request`` as JSON and returns ``response`` as JSON or problem details (RFC 9457)."""

    path: str
    request: type[RequestT]
    response: type[ResponseT]


Client = Annotated[str, StringConstraints(max_length=32, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""The name that a client or a dialect gives itself."""


def _parse_address(value: Any) -> IPv4Address | IPv6Address:
    return value if isinstance(value, IPv4Address | IPv6Address) else ip_address(value)


Address = Annotated[IPv4Address | IPv6Address, PlainValidator(_parse_address), PlainSerializer(str, return_type=str)]
"""The address of a caller. (pydantic's ``IPvAnyAddress`` parses an address object again and loads 1 MiB.)"""

Number = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""A phone number in E.164, canonicalised by the gateway."""
