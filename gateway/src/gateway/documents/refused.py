"""How a dialect words each refusal of a call, asked of the dialect itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.dialect import Dialect
from gateway.operations import Operation
from gateway.problems import ACCEPT_LANGUAGE, ENGLISH
from shared.errors import ErrorCode, ServiceError

WAITS = {
    ErrorCode.COOLDOWN: 42,
    ErrorCode.DAILY_CAP: 3600,
    ErrorCode.CALLER_LIMIT: 60,
    ErrorCode.SENDING_PAUSED: 600,
    ErrorCode.CONTACT_BUDGET: 180,
    ErrorCode.UNAVAILABLE: 1,
    ErrorCode.INTERNAL: 1,
}
"""Refusals that tell when to try again, each with a likely wait in seconds."""

BAD_PARAMETERS = {ErrorCode.PARAMETER_MISSING, ErrorCode.PARAMETER_INVALID}
OUTAGE = {ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL}


WHEN = {code: detail for code, (_, detail) in ENGLISH.items()} | {
    ErrorCode.PASSWORD_LENGTH: "The password is too short, too long, or the phone number."  # each contract has its own
}


@dataclass(frozen=True)
class Refused:
    """One refusal on the wire; ``name`` is ours for it, ``when`` says what it may be about."""

    name: str
    when: str
    status: int
    media: str
    waits: bool
    body: dict[str, Any]


def refusals_of(dialect: Dialect, operation: Operation) -> list[Refused]:
    """Every refusal that a client of this call can meet, in the order of our vocabulary; no two look alike."""
    told = ACCEPT_LANGUAGE.set("en")
    try:
        alike: dict[str, list[tuple[ServiceError, web.Response]]] = {}
        for error in _errors(operation):
            response = dialect.render_error(error, operation.path)
            alike.setdefault(_likeness(dialect, response, error), []).append((error, response))
    finally:
        ACCEPT_LANGUAGE.reset(told)
    return [_told(dialect, group) for group in alike.values()]


def _errors(operation: Operation) -> Iterator[ServiceError]:
    codes = operation.refuses | OUTAGE | (BAD_PARAMETERS if operation.asks else set())
    fields = operation.asks.model_fields if operation.asks else {}
    required = [field.alias or name for name, field in fields.items() if field.is_required()]
    for code in ErrorCode:
        if code in codes:
            missing = required if code is ErrorCode.PARAMETER_MISSING else []
            yield from (ServiceError(code, field=name) for name in missing)
            if not missing:
                yield ServiceError(code, retry_after=WAITS.get(code))


def _likeness(dialect: Dialect, response: web.Response, error: ServiceError) -> str:
    """What two refusals have in common that differ only in naming a field, a wait or a moment."""
    named = (error.field, error.retry_after)
    same = {name: value for name, value in _body(response).items() if value not in named}
    return json.dumps(
        [response.status, {name: same[name] for name in same.keys() - _varying(dialect).keys()}], sort_keys=True
    )


def _varying(dialect: Dialect) -> dict[str, Any]:
    """What differs from one answer to the next, a time or a random token: it has an example of its own."""
    return {name: field.examples[0] for name, field in dialect.refusal.model_fields.items() if field.examples}


def _told(dialect: Dialect, group: list[tuple[ServiceError, web.Response]]) -> Refused:
    error, response = group[0]
    body = _body(response)
    body |= {name: shown for name, shown in _varying(dialect).items() if name in body}
    codes = list(dict.fromkeys(error.code for error, _ in group))
    fields = {error.field for error, _ in group if error.field}
    name = error.code.value + (f".{fields.pop()}" if len(fields) == 1 else "")
    when = " ".join(WHEN[code] for code in codes)
    waits = any(error.retry_after for error, _ in group)
    return Refused(name, when, response.status, response.content_type, waits, body)


def _body(response: web.Response) -> dict[str, Any]:
    return dict(json.loads(response.body))  # type: ignore[arg-type]
