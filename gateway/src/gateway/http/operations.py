"""The calls of a contract: each is registered and described in one place, for the router and for the documents."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from gateway.http.request_parsing import Parameters
from shared.errors import ErrorCode

Login = Literal["none", "optional", "required"]
"""Whether a call takes a session's token. A call that requires one refuses with ``UNAUTHENTICATED`` without it."""

Documented = type[BaseModel] | BaseModel | None
"""The body of a response: its model, the body itself if it never varies, or None for no body."""

HandlerT = TypeVar("HandlerT", bound=Handler)


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

    ``refusals`` omits those that every call can return: invalid parameters and outages. ``returns_token`` marks
    responses that carry a session's token in their headers.
    """

    method: str
    path: str
    handler: Handler
    parameters: type[Parameters] | None
    responses: Mapping[int, Documented]
    refusals: frozenset[ErrorCode]
    login: Login
    returns_token: bool

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
        takes: type[Parameters] | None = None,
        returns: Documented | Mapping[int, Documented],
        refuses: Collection[ErrorCode] = (),
        login: Login = "none",
        returns_token: bool = False,
    ) -> Callable[[HandlerT], HandlerT]:
        """Register the decorated handler for ``"POST"``, or for ``"GET POST"``.

        ``returns`` without statuses is the body for HTTP 200, or None for HTTP 204.
        """
        by_status = returns if isinstance(returns, Mapping) else {204 if returns is None else 200: returns}
        codes = frozenset(refuses) | ({ErrorCode.UNAUTHENTICATED} if login == "required" else frozenset())

        def register(handler: HandlerT) -> HandlerT:
            for method in methods.split():
                described = (takes, by_status, codes, login, returns_token)
                self._operations.append(Operation(method, path, handler, *described))
            return handler

        return register
