"""Refusals of the operator API: problem details (RFC 9457) with a line that says what to do."""

from collections.abc import Mapping
from types import MappingProxyType

import orjson
from aiohttp import web
from pydantic import ValidationError

from gateway.named_operators import NamedOperator, Role
from shared.errors import STATUS, ErrorCode, ServiceError
from shared.internal_api.principals import CALL_NOT_ALLOWED, UNKNOWN_TOKEN
from shared.internal_api.replies import PROBLEM
from shared.process.environment.plain_errors import plain_text

ADVICE: Mapping[ErrorCode, str] = MappingProxyType(
    {
        ErrorCode.CALLER_LIMIT: "too many of these calls: wait an hour",
        ErrorCode.NOT_FOUND: "there is no such user, message, sender, prefix or call",
        ErrorCode.METHOD_NOT_ALLOWED: "calls are POST requests with a JSON object",
        ErrorCode.UNAVAILABLE: "a service did not answer: it may have done this, so look before you repeat it",
        ErrorCode.INTERNAL: "a defect: the log of the service has request.failed with this request's id",
    }
)
QUOTES_NOTHING = frozenset({"missing", "enum", "value_error"})
"""The errors of pydantic whose text repeats nothing of what was sent."""
A_TIME = "this is no time with its zone, such as 2026-12-31T00:00:00+08:00"
FORMS: Mapping[str, str] = MappingProxyType(
    {
        "extra_forbidden": "this call has no such field",
        "int_parsing": "this is no whole number",
        "uuid_parsing": "this is no id, such as 0198c5b2-6a1e-7cc0-9f11-2a4b6c8d0e1f",
        "timezone_aware": A_TIME,
        "datetime_parsing": A_TIME,
        "datetime_from_date_parsing": A_TIME,
    }
)
"""What other errors of pydantic say: their own texts quote what was sent."""


class RefusedRequestError(Exception):
    """The operator API itself refuses a request. ``detail`` says what to do and quotes nothing."""

    def __init__(self, status: int, code: str, detail: str, field: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field


def unknown_key() -> RefusedRequestError:
    """No named operator has this key."""
    return RefusedRequestError(
        401, UNKNOWN_TOKEN, "show the key that operator-key printed, as Authorization: Bearer <key>"
    )


def role_required(operator: NamedOperator, role: Role) -> RefusedRequestError:
    """The role of the operator does not allow this call."""
    return RefusedRequestError(403, CALL_NOT_ALLOWED, f"this call takes the role {role}, and yours is {operator.role}")


def invalid_request(error: ValidationError) -> RefusedRequestError:
    """The first field that is wrong."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    kind = first["type"]
    detail = plain_text(first) if kind in QUOTES_NOTHING else FORMS.get(kind, "this value has another form")
    return RefusedRequestError(400, ErrorCode.PARAMETER_INVALID, detail, field)


def render(error: RefusedRequestError | ServiceError) -> web.Response:
    """A refusal as problem details."""
    if isinstance(error, ServiceError):
        advice = ADVICE.get(error.code, error.code.value)
        error = RefusedRequestError(STATUS[error.code], error.code.value, advice, error.field or "")
    document = {"type": "about:blank", "title": error.code, "status": error.status, "code": error.code}
    document |= {"detail": error.detail} | ({"field": error.field} if error.field else {})
    return web.Response(body=orjson.dumps(document), status=error.status, content_type=PROBLEM)
