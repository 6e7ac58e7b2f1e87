"""How a dialect renders each refusal of a call: examples, which come from the dialect itself, and their schemas."""

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.dialect import Dialect
from gateway.documents.components import Components, camel
from gateway.documents.schemas import Json
from gateway.http.operations import Operation
from gateway.http.problems import ACCEPT_LANGUAGE
from shared.errors import ErrorCode, ServiceError

RETRY_AFTER = {
    ErrorCode.COOLDOWN: 42,
    ErrorCode.DAILY_CAP: 3600,
    ErrorCode.CALLER_LIMIT: 60,
    ErrorCode.SENDING_PAUSED: 600,
    ErrorCode.CONTACT_BUDGET: 180,
    ErrorCode.UNAVAILABLE: 1,
    ErrorCode.INTERNAL: 1,
}
"""The temporary refusals, each with a typical wait in seconds."""

INVALID_PARAMETERS = {ErrorCode.PARAMETER_MISSING, ErrorCode.PARAMETER_INVALID}
ANY_CALL = {ErrorCode.APP_KEY_REFUSED, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL}

CAUSES: dict[ErrorCode, str] = {
    ErrorCode.PARAMETER_MISSING: "A required parameter is missing or empty.",
    ErrorCode.PARAMETER_INVALID: "A parameter or the request body is malformed.",
    ErrorCode.NUMBER_REFUSED: "The number is invalid, or its country is not served.",
    ErrorCode.PASSWORD_CHARACTERS: "The password contains characters other than printable ASCII.",
    ErrorCode.PASSWORD_LENGTH: "The password is too short, too long, too common, or the phone number.",
    ErrorCode.NUMBER_TAKEN: "The number already has an account.",
    ErrorCode.NAME_TAKEN: "The name is already in use.",
    ErrorCode.NO_ACCOUNT: "The number has no account.",
    ErrorCode.CODE_REFUSED: "The code, challenge or ticket is incorrect, expired or already used.",
    ErrorCode.CREDENTIALS_REFUSED: "The number or the password is incorrect.",
    ErrorCode.PROOF_REQUIRED: "The call needs a fresh proof: the password, or a ticket for its purpose.",
    ErrorCode.ACCOUNT_BANNED: "The account is banned.",
    ErrorCode.UNAUTHENTICATED: "The token is missing, invalid, expired or revoked.",
    ErrorCode.APP_KEY_REFUSED: "The app key is unknown or malformed, or a browser sent it.",
    ErrorCode.COOLDOWN: "A code was sent to this number recently.",
    ErrorCode.DAILY_CAP: "The number has reached its daily limit of codes.",
    ErrorCode.CALLER_LIMIT: "Too many requests came from this address, app or user.",
    ErrorCode.SENDING_PAUSED: "Sending to such numbers is paused.",
    ErrorCode.TOO_MANY_CONTACTS: "The list has more than 2,000 numbers.",
    ErrorCode.CONTACT_BUDGET: "The user has looked up too many new numbers.",
    ErrorCode.NOT_FOUND: "The requested resource does not exist.",
    ErrorCode.METHOD_NOT_ALLOWED: "The address does not support this method.",
    ErrorCode.UNAVAILABLE: "The service is busy.",
    ErrorCode.INTERNAL: "Internal error.",
}

MAX_CODES_IN_A_NAME = 3


@dataclass(frozen=True)
class RefusalExample:
    """One refusal on the wire. ``name`` is our error code, with more if one code has several examples."""

    name: str
    codes: Sequence[ErrorCode]
    cause: str
    status: int
    media_type: str
    has_retry_after: bool
    body: dict[str, Any]


class RefusalSchemas:
    """Adds to ``schemas`` what responses need. Responses with the same refusals share a schema.

    ``base`` names the schema of every refusal of the contract, which these replace; ``code_field`` is its field with a
    code that clients rely on, if there is one: without it, all refusals have the same schema.
    """

    def __init__(self, schemas: Components, base: str, code_field: str | None, prefix: str) -> None:
        self._schemas = schemas
        self._base = schemas.by_name.pop(base)
        self._code_field = code_field
        self._prefix = prefix
        self._kind = base.removeprefix(prefix)

    def reference(self, call: str, status: int, refusals: Sequence[RefusalExample]) -> Json:
        """The schema of these refusals of a call, which have this status.

        It is named after their codes, or after the call and the status: if they are many, or if another call renders
        the same codes otherwise.
        """
        if self._code_field is None:
            return self._schemas.add([self._prefix + self._kind], self._base)
        codes = list(dict.fromkeys(each.codes[0].value for each in refusals))
        names = [camel(call) + self._kind + str(status)]
        if len(codes) <= MAX_CODES_IN_A_NAME:
            names.insert(0, "Or".join(map(camel, codes)) + self._kind)
        wire_codes = list(dict.fromkeys(each.body[self._code_field] for each in refusals))
        schema = copy.deepcopy(self._base)
        code = schema["properties"][self._code_field]
        code.pop("$ref", None)
        code |= {"type": "string", "enum": wire_codes}
        return self._schemas.add([self._prefix + name for name in names], schema)


def refusal_examples(dialect: Dialect, operation: Operation) -> list[RefusalExample]:
    """The distinct refusals of a call, in the order of ``ErrorCode``. Identical responses are one example."""
    token = ACCEPT_LANGUAGE.set("en")
    try:
        groups: dict[str, list[tuple[ServiceError, web.Response]]] = {}
        for error in _errors(operation):
            response = dialect.render_error(error, operation.path)
            groups.setdefault(_fingerprint(dialect, response, error), []).append((error, response))
    finally:
        ACCEPT_LANGUAGE.reset(token)
    return [_example(dialect, group) for group in groups.values()]


def _errors(operation: Operation) -> Iterator[ServiceError]:
    codes = operation.refusals | ANY_CALL | (INVALID_PARAMETERS if operation.parameters else set())
    fields = {name: field for model in operation.parameters for name, field in model.model_fields.items()}
    required = [field.alias or name for name, field in fields.items() if field.is_required()]
    for code in ErrorCode:
        if code in codes:
            missing = required if code is ErrorCode.PARAMETER_MISSING else []
            yield from (ServiceError(code, field=name) for name in missing)
            if not missing:
                yield ServiceError(code, retry_after=RETRY_AFTER.get(code))
            yield from (variant for variant in operation.variants if variant.code is code)


def _fingerprint(dialect: Dialect, response: web.Response, error: ServiceError) -> str:
    """The response without the values that vary: the name of a field, a wait, a timestamp, a random token."""
    varying = (error.field, error.retry_after, error.tries_left)
    constant = {name: value for name, value in _body(response).items() if value not in varying}
    names = constant.keys() - _varying_fields(dialect).keys()
    return json.dumps([response.status, {name: constant[name] for name in names}], sort_keys=True)


def _varying_fields(dialect: Dialect) -> dict[str, Any]:
    """The fields that differ in every response, such as a timestamp, with an example for each."""
    return {name: field.examples[0] for name, field in dialect.refusal.model_fields.items() if field.examples}


def _example(dialect: Dialect, group: list[tuple[ServiceError, web.Response]]) -> RefusalExample:
    error, response = group[0]
    body = _body(response)
    body |= {name: value for name, value in _varying_fields(dialect).items() if name in body}
    codes = list(dict.fromkeys(error.code for error, _ in group))
    fields = {error.field for error, _ in group if error.field}
    name = error.code.value + (f".{fields.pop()}" if len(fields) == 1 else "")
    name += "" if error.tries_left is None else f".{error.tries_left}_tries_left"
    name += ".limited" if error.is_limited else ""
    cause = " ".join(CAUSES[code] for code in codes)
    has_retry_after = any(error.retry_after for error, _ in group)
    return RefusalExample(name, codes, cause, response.status, response.content_type, has_retry_after, body)


def _body(response: web.Response) -> dict[str, Any]:
    return dict(json.loads(response.body))  # type: ignore[arg-type]
