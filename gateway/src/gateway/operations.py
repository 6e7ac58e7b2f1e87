"""What a contract's calls are: each is registered and described in one place, for the router and for the documents."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from gateway.request_parsing import Call
from shared.errors import ErrorCode

Login = Literal["none", "optional", "required"]
"""Whether a call wants the token of a session. Where it is required, a call without one is unauthenticated."""

Shown = type[BaseModel] | BaseModel | None
"""The body of an answer: its model, or itself where it is always the same, or none."""

H = TypeVar("H", bound=Handler)


class Answer(BaseModel):
    """The body of an answer as its contract writes it: these fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment (UTC) as RFC 3339 text, to the second."""


@dataclass(frozen=True)
class Operation:
    """One call: where it is, what runs, what it takes, what it answers by HTTP status, and why it may refuse.

    ``refuses`` leaves out what any call may say: bad parameters, and that the service is busy. ``gives_token`` is
    for answers that bring a session's token in their headers.
    """

    method: str
    path: str
    handler: Handler
    asks: type[Call] | None
    answers: Mapping[int, Shown]
    refuses: frozenset[ErrorCode]
    login: Login
    gives_token: bool

    @property
    def name(self) -> str:
        """What our code calls it."""
        return self.handler.__name__

    @property
    def text(self) -> str:
        """What there is to say about it: the handler's docstring."""
        return self.handler.__doc__ or self.name.replace("_", " ").capitalize()


class Routes:
    """A contract's calls, in the order of its document."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def on(
        self,
        methods: str,
        path: str,
        *,
        asks: type[Call] | None = None,
        answers: Shown | Mapping[int, Shown],
        refuses: Collection[ErrorCode] = (),
        login: Login = "none",
        gives_token: bool = False,
    ) -> Callable[[H], H]:
        """Register the handler below for ``"POST"``, or ``"GET POST"``.

        An ``answers`` by itself is for HTTP 200, or 204 if it is none.
        """
        by_status = answers if isinstance(answers, Mapping) else {204 if answers is None else 200: answers}
        reasons = frozenset(refuses) | ({ErrorCode.UNAUTHENTICATED} if login == "required" else frozenset())

        def register(handler: H) -> H:
            for method in methods.split():
                described = (asks, by_status, reasons, login, gives_token)
                self._operations.append(Operation(method, path, handler, *described))
            return handler

        return register
