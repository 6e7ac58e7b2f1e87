"""Reading what a client sends, strictly: one value per name, no trick of JSON or of encodings gets through."""

import asyncio
import json
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from shared.errors import ErrorCode, ServiceError

BODY_BYTES = 16 * 1024
BODY_SECONDS = 4.0
DEEPEST = 32
MAX_FIELDS = 64


class Call(BaseModel):
    """The parameters of one call as its contract names them. Types are strict; names it does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


C = TypeVar("C", bound=Call)


def either(*groups: str) -> ConfigDict:
    """For the documents: a call needs the fields of one of these groups: ``either("ticket", "phone password")``."""
    alternatives: list[JsonValue] = [{"required": list[JsonValue](group.split())} for group in groups]
    return ConfigDict(json_schema_extra={"anyOf": alternatives})


def required(value: str | None, field: str) -> str:
    """A value that this variant of a call cannot do without. Raises ``PARAMETER_MISSING``."""
    if value is None:
        raise ServiceError(ErrorCode.PARAMETER_MISSING, field=field)
    return value


async def read_call(request: web.Request, model: type[C], *, body_bytes: int = BODY_BYTES) -> C:
    """A call's parameters: from the query of a GET, else from a JSON or form body.

    Raises ``PARAMETER_MISSING`` or ``PARAMETER_INVALID`` naming the first field at fault, never its value.
    """
    fields = _from_query(request) if request.method == "GET" else await _from_body(request, body_bytes)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        empty = first["type"] == "missing" or first["input"] is None or first["input"] == ""
        code = ErrorCode.PARAMETER_MISSING if empty else ErrorCode.PARAMETER_INVALID
        raise ServiceError(code, field=str(first["loc"][0]) if first["loc"] else None) from None


def _from_query(request: web.Request) -> dict[str, Any]:
    return _pairs(request.rel_url.raw_query_string)


async def _from_body(request: web.Request, limit: int) -> dict[str, Any]:
    kind = request.content_type
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        _refuse()  # a phone has nothing to say that is worth unpacking
    if kind not in {"application/json", "application/x-www-form-urlencoded"}:
        _refuse()
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        _refuse()
    raw = await read_body(request, limit)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        _refuse()
    return parse_json(text) if kind == "application/json" else _pairs(text)


async def read_body(request: web.Request, limit: int) -> bytes:
    """At most ``limit`` bytes within four seconds, or ``PARAMETER_INVALID``."""
    if (request.content_length or 0) > limit:
        _refuse()
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.readany():
                raw += chunk
                if len(raw) > limit:
                    _refuse()
    except TimeoutError:
        _refuse()
    return bytes(raw)


def _pairs(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        _refuse()
    return _without_repeats(pairs)


def parse_json(text: str) -> dict[str, Any]:
    """A JSON object, read strictly (RFC 8259, and I-JSON's rules against ambiguity, RFC 7493).

    Raises ``PARAMETER_INVALID`` for a repeated name, NaN or Infinity, a lone surrogate, more than 32 levels, or
    anything but an object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_not_a_number)
        if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
            _refuse()
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    except (ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
        _refuse()
    if not isinstance(value, dict):
        _refuse()
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _refuse()
    return fields


def _not_a_number(_: str) -> NoReturn:
    raise ValueError("not JSON")


def _depth(value: Any) -> int:
    """How many levels of arrays and objects; level by level, so that depth costs no stack."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _refuse() -> NoReturn:
    raise ServiceError(ErrorCode.PARAMETER_INVALID) from None
