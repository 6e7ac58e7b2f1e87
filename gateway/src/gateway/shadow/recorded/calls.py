"""Finds the call of a contract that a recorded request is."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web
from pydantic import BaseModel
from yarl import URL

from gateway.dialect import Dialect
from gateway.flows import refusals
from gateway.http.operations import Documented, Operation
from gateway.shadow.recorded.field_roles import role_of
from shared.errors import ErrorCode, ServiceError

NO_CALL = "(no such call)"
"""The name of what a contract owns but does not have."""


@dataclass(frozen=True)
class ContractCall:
    """A call of a contract; without ``operation`` it is a path that the contract owns and does not have.

    ``path`` is the one of the request, ``values`` are what it has in place of ``{name}``.
    """

    dialect: Dialect
    operation: Operation | None
    method: str
    path: str
    values: Mapping[str, str]

    @property
    def name(self) -> str:
        """The call for reports, such as ``maitian log_in``."""
        return f"{self.dialect.name} {self.operation.name if self.operation else NO_CALL}"

    @property
    def address(self) -> str:
        """Method and path as the contract writes them. The path of no call is not shown: it may have anything."""
        return f"{self.method} {self.operation.path}" if self.operation else self.method

    @property
    def changes_nothing(self) -> bool:
        """Whether it may be made on a system that people use. What is no call cannot change anything."""
        return self.operation is None or self.operation.reads

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be made again: it looks something up that an event may have changed a moment before."""
        return self.changes_nothing or ErrorCode.CONTACT_BUDGET in self.refusals

    @property
    def sends_code(self) -> bool:
        """Whether its success is a message with a code."""
        return ErrorCode.DAILY_CAP in self.refusals

    @property
    def registers(self) -> bool:
        """Whether its success is a new account."""
        return self.refusals >= refusals.REGISTER

    @property
    def refusals(self) -> frozenset[ErrorCode]:
        return self.operation.refusals if self.operation else frozenset()

    @property
    def parameters(self) -> tuple[type[BaseModel], ...]:
        return tuple(self.operation.parameters) if self.operation else ()

    @property
    def successes(self) -> list[Documented]:
        """The bodies of success."""
        return list(self.operation.responses.values()) if self.operation else []

    def is_code_refusal(self, body: object) -> bool:
        """Whether a parsed body says that the code is not right."""
        return RefusalForm(self, ErrorCode.CODE_REFUSED).matches(body)


def json_of(response: web.Response) -> dict[str, Any]:
    """The body of a response that a contract has rendered."""
    assert isinstance(response.body, bytes)  # noqa: S101  every contract renders JSON
    body: dict[str, Any] = orjson.loads(response.body)
    return body


class RefusalForm:
    """Recognises a refusal in an answer of the contract."""

    def __init__(self, call: ContractCall, code: ErrorCode) -> None:
        rendered = call.dialect.render_error(ServiceError(code), call.path)
        body = json_of(rendered)
        field = call.dialect.refusal_code
        names = [field] if field else [name for name in body if role_of(name, call.dialect.refusal) is None]
        self._values = {name: body[name] for name in names}

    def matches(self, body: object) -> bool:
        """Whether a parsed body is this refusal."""
        return isinstance(body, dict) and all(body.get(name) == value for name, value in self._values.items())


class CallTable:
    """The calls of the contracts that are switched on."""

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self._dialects = list(dialects)
        self._calls = [
            (operation, dialect, _pattern(operation.path)) for dialect in self._dialects for operation in dialect.routes
        ]

    def find(self, method: str, target: str) -> ContractCall | None:
        """The call of a request to ``target``. None if no contract owns its path.

        The path is read as the gateway's router reads it: ``/v2/%6de`` and ``/v2/me#`` are ``/v2/me``. If it were read
        in another way, a call that changes something would pass for one that no contract has.
        """
        path = URL(f"http://haoma{target}", encoded=True).path_safe
        for operation, dialect, pattern in self._calls:
            if operation.method == method and (match := pattern.fullmatch(path)):
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                return ContractCall(dialect, operation, method, path, values)
        owner = next((each for each in self._dialects if each.owns.fullmatch(path)), None)
        return ContractCall(owner, None, method, path, {}) if owner else None


def _pattern(path: str) -> re.Pattern[str]:
    """A path of the router, whose ``{name}`` stands for one part of a path."""
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(f"(?P<{each}>[^/]+)" if i % 2 else re.escape(each) for i, each in enumerate(parts)))
