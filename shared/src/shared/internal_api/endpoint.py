"""An internal call as a value: its path, its request model and its response model, and who may make it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, inet_pton
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, StringConstraints

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.principals import Principal
from shared.networks import RequestSource


class WireModel(BaseModel):
    """A message between our own processes. It is immutable, rejects unknown fields, and its errors quote no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def to_json(self) -> bytes:
        """The message as it crosses: in one step, where ``model_dump_json`` would make a text of it first."""
        return self.__pydantic_serializer__.to_json(self)

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """The message that a process sent. Raises ``ValueError``."""
        message: Self = cls.__pydantic_validator__.validate_json(body)
        return message


class Empty(WireModel):
    """A response without content: the call succeeded."""


RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)


@dataclass(frozen=True)
class Endpoint(Generic[RequestT, ResponseT]):
    """``POST path`` takes ``request`` as JSON and returns ``response`` as JSON or problem details (RFC 9457).

    Only the principal ``allowed`` may make the call, as the token that it presents tells. A ``repeatable`` call changes
    nothing when it is made twice, so it is made again when its connection is lost.
    """

    path: str
    request: type[RequestT]
    response: type[ResponseT]
    allowed: Principal = Principal.GATEWAY
    repeatable: bool = False


AnyEndpoint = Endpoint[Any, Any]
PING = Endpoint("/v1/ping", Empty, Empty)
"""Every service answers it: it has our token, and its event loop runs."""


Client = Annotated[str, StringConstraints(max_length=32, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""The name that a client or a dialect gives itself."""


def _parse_address(value: Any) -> IPv4Address | IPv6Address:
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    try:
        return IPv4Address(inet_pton(AF_INET, value))  # a fifth of what ``ipaddress`` takes to read the text
    except (OSError, TypeError):
        return ip_address(value)


Address = Annotated[IPv4Address | IPv6Address, PlainValidator(_parse_address), PlainSerializer(str, return_type=str)]
"""The address of a caller. (pydantic's ``IPvAnyAddress`` parses an address object again and loads 1 MiB.)"""

Number = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""A phone number in E.164, canonicalised by the gateway."""

AppName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?$")]
"""The app whose own server sent a request, as ``APP_KEYS`` names it; empty for none."""


class SourcedRequest(WireModel):
    """A request that limits on callers count.

    ``address`` is the user's. It is None only if the server of ``app`` did not tell it. ``user_id`` is the user of the
    session that the call needs, if it needs one.
    """

    address: Address | None
    app: AppName = ""
    user_id: int | None = None

    @property
    def source(self) -> RequestSource:
        """What limits count the request on. Raises ``PARAMETER_MISSING`` if it says nothing of where it comes from."""
        if self.address is None and not self.app and self.user_id is None:
            raise ServiceError(ErrorCode.PARAMETER_MISSING, field="address")
        return RequestSource(self.address, self.app, self.user_id)
