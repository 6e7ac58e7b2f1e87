"""Answers as they are compared: parsed, and sorted into successes and refusals of the contract."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import orjson
from pydantic import BaseModel

from gateway.http.session_tokens import SESSION_COOKIE
from gateway.shadow.recorded.calls import ContractCall
from gateway.shadow.recorded.field_roles import fields_of
from gateway.shadow.recorded.recording import RecordedAnswer

FAILED = 400
"""The least HTTP status of what is no success."""
SERVER_FAILED = 500
NOT_JSON = object()
"""In place of a body that is no JSON."""
_BEARER = re.compile(r"Bearer +([\x21-\x7e]+)", re.IGNORECASE)
_COOKIE = re.compile(rf"\s*{SESSION_COOKIE}\s*=\s*\"?([A-Za-z0-9._~-]+)")


@dataclass(frozen=True)
class ReceivedAnswer:
    """An answer, recorded or of Haoma. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @classmethod
    def of(cls, recorded: RecordedAnswer) -> "ReceivedAnswer":
        """A recorded answer."""
        return cls(recorded.status, recorded.headers, recorded.content)

    def body(self) -> Any:
        """The body; None if it is empty, and ``NOT_JSON`` if it is none."""
        if not self.content:
            return None
        try:
            return orjson.loads(self.content)
        except ValueError:
            return NOT_JSON

    def header_tokens(self) -> dict[str, str]:
        """The tokens of a session that stand in headers, by the name of the header."""
        found = {
            "authorization": _BEARER.fullmatch(self.headers.get("authorization", "")),
            "set-cookie": _COOKIE.match(self.headers.get("set-cookie", "")),
        }
        return {name: match[1] for name, match in found.items() if match}


@dataclass(frozen=True)
class Outcome:
    """What an answer says, and the model that its body comes closest to."""

    is_success: bool
    model: type[BaseModel] | None


def outcome_of(call: ContractCall, status: int, body: Any) -> Outcome:
    """The outcome of an answer. Contracts may answer HTTP 200 for refusals, so the body decides if it can."""
    if not isinstance(body, dict):
        return Outcome(status < FAILED, None)
    models = [each if isinstance(each, type) else type(each) for each in call.successes if each is not None]
    best = max((*models, call.dialect.refusal), key=lambda model: _closeness(model, body))
    if _closeness(best, body) <= 0:
        return Outcome(status < FAILED, None)
    return Outcome(best is not call.dialect.refusal, best)


def _closeness(model: type[BaseModel], body: dict[str, Any]) -> int:
    """How many fields a body shares with a model. A constant of the model counts twice, for or against it."""
    score = 0
    for name, info in fields_of(model).items():
        if name in body:
            score += 1
            if get_origin(info.annotation) is Literal:
                score += 2 if _is_one_of(body[name], get_args(info.annotation)) else -2
    return score


def _is_one_of(value: Any, constants: tuple[Any, ...]) -> bool:
    return any(type(value) is type(each) and value == each for each in constants)
