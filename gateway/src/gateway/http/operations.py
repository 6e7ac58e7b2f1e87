"""The calls of a contract: each is registered and described in one place, for the router and for the documents."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from gateway.http.request_parsing import Parameters
from shared.errors import ErrorCode, ServiceError

Login = Literal["none", "optional", "required"]
"""Whether a call takes a session's token. A call that requires one refuses with ``UNAUTHENTICATED`` without it."""

Documented = type[BaseModel] | BaseModel | None
"""The body of a response: its model, the body itself if it never varies, or None for no body."""

HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass(frozen=True)
class FieldDoc:
    """What a document says of a field: its meaning, and an example unless its type says enough."""

    about: str
    example: Any = ...


class ResponseBody(BaseModel):
    """The body of a response as its contract defines it: exactly these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A point in time (UTC) as RFC 3339 text, to the second."""


@dataclass(frozen=True)
class Operation:
    """One call: its address, its handler, its parameters, its responses by HTTP status, and its refusals.

    ``parameters`` are the models of which a request has one: none, one or two. ``refusals`` omits those that every call
    can return: invalid parameters and outages. ``variants`` are refusals with more detail, as further examples.
    ``reads`` says that the call changes nothing but when a session was used: shadow runs make it on live systems.
    ``returns_token`` marks responses that carry a session's token in their headers. ``methods`` are all methods of the
    handler: the contract's own first, the others are for clients that cannot use it.
    """

    method: str
    path: str
    handler: Handler
    parameters: Sequence[type[Parameters]]
    responses: Mapping[int, Documented]
    refusals: frozenset[ErrorCode]
    login: Login
    returns_token: bool
    variants: Sequence[ServiceError]
    methods: Sequence[str]
    reads: bool = False

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def description(self) -> str:
        """The handler's docstring."""
        return self.handler.__doc__ or self.name.replace("_", " ").capitalize()


class Routes:
    """The calls of a contract, in the order in which its document lists them."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def on(
        self,
        methods: str,
        path: str,
        *,
        takes: type[Parameters] | Sequence[type[Parameters]] = (),
        returns: Documented | Mapping[int, Documented],
        refuses: Collection[ErrorCode] = (),
        login: Login = "none",
        returns_token: bool = False,
        variants: Sequence[ServiceError] = (),
        reads: bool = False,
    ) -> Callable[[HandlerT], HandlerT]:
        """Register the decorated handler for ``"POST"``, or for ``"GET POST"``.

        ``takes`` is a model, or two of which a body is either. ``returns`` without statuses is the body for HTTP 200,
        or None for HTTP 204.
        """
        models = (takes,) if isinstance(takes, type) else tuple(takes)
        by_status = returns if isinstance(returns, Mapping) else {204 if returns is None else 200: returns}
        codes = frozenset(refuses) | ({ErrorCode.UNAUTHENTICATED} if login == "required" else frozenset())

        def register(handler: HandlerT) -> HandlerT:
            described = (models, by_status, codes, login, returns_token, variants, methods.split(), reads)
            for method in methods.split():
                self._operations.append(Operation(method, path, handler, *described))
            return handler

        return register
