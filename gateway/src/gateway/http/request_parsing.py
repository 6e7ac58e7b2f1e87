"""Reads what a client sends, strictly: one value for each name, and no ambiguity of JSON or of text encodings."""

import asyncio
import json
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints, ValidationError

from shared.errors import ErrorCode, ServiceError

MAX_BODY_BYTES = 16 * 1024
MAX_BODY_SECONDS = 4.0
MAX_DEPTH = 32
MAX_FIELDS = 64

Text = Annotated[str, StringConstraints(min_length=1)]
"""A required text. Whether it is a valid number, code or password is decided elsewhere."""

ClientName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,32}$")]
"""The name a client gives itself: 1 to 32 characters without control characters. Sessions store it."""


class Parameters(BaseModel):
    """The parameters of one call, named as in its contract. Types are strict; unknown names are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


ParametersT = TypeVar("ParametersT", bound=Parameters)


def either(*groups: str) -> ConfigDict:
    """Document that a call needs one of these groups of fields: ``either("ticket", "phone password")``."""
    alternatives: list[JsonValue] = [{"required": list[JsonValue](group.split())} for group in groups]
    return ConfigDict(json_schema_extra={"anyOf": alternatives})


def require(value: str | None, field: str) -> str:
    """Return a value that this variant of a call needs. Raises ``PARAMETER_MISSING``."""
    if value is None:
        raise ServiceError(ErrorCode.PARAMETER_MISSING, field=field)
    return value


def id_in_path(request: web.Request) -> UUID:
    """The ``{id}`` of a path. Raises ``NOT_FOUND`` if it is not a UUID."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise ServiceError(ErrorCode.NOT_FOUND) from None


def refuse_prefetch(request: web.Request) -> None:
    """Refuse a GET that a browser makes by itself: a prefetch, or an image embedded in another site's page."""
    headers = request.headers
    purpose = headers.get("Sec-Purpose", "") + headers.get("Purpose", "")
    if request.method == "GET" and ("prefetch" in purpose or headers.get("Sec-Fetch-Site") == "cross-site"):
        raise ServiceError(ErrorCode.PARAMETER_INVALID)


async def read_parameters(
    request: web.Request, model: type[ParametersT], *, max_bytes: int = MAX_BODY_BYTES
) -> ParametersT:
    """Read the parameters of a call: from the query of a GET, otherwise from a JSON or form body.

    Raises ``PARAMETER_MISSING`` or ``PARAMETER_INVALID`` with the name of the first invalid field, never its value.
    """
    fields = _from_query(request) if request.method == "GET" else await _from_body(request, max_bytes)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        empty = first["type"] == "missing" or first["input"] is None or first["input"] == ""
        code = ErrorCode.PARAMETER_MISSING if empty else ErrorCode.PARAMETER_INVALID
        raise ServiceError(code, field=str(first["loc"][0]) if first["loc"] else None) from None


def _from_query(request: web.Request) -> dict[str, Any]:
    return _parse_form(request.rel_url.raw_query_string)


async def _from_body(request: web.Request, max_bytes: int) -> dict[str, Any]:
    media_type = request.content_type
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        _refuse()  # the bodies of these calls are too small to need compression
    if media_type not in {"application/json", "application/x-www-form-urlencoded"}:
        _refuse()
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        _refuse()
    raw = await read_body(request, max_bytes)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        _refuse()
    return parse_json(text) if media_type == "application/json" else _parse_form(text)


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """Read a body. Raises ``PARAMETER_INVALID`` if it exceeds ``max_bytes`` or takes more than four seconds."""
    if (request.content_length or 0) > max_bytes:
        _refuse()
    raw = bytearray()
    try:
        async with asyncio.timeout(MAX_BODY_SECONDS):
            while chunk := await request.content.readany():
                raw += chunk
                if len(raw) > max_bytes:
                    _refuse()
    except TimeoutError:
        _refuse()
    return bytes(raw)


def _parse_form(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        _refuse()
    return _without_repeats(pairs)


def parse_json(text: str) -> dict[str, Any]:
    """Parse a JSON object strictly (RFC 8259, with the rules of I-JSON against ambiguity, RFC 7493).

    Raises ``PARAMETER_INVALID`` for a repeated name, NaN or Infinity, a lone surrogate, more than 32 levels, or a
    value that is not an object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
        if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
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


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("not JSON")


def _depth(value: Any) -> int:
    """Count the levels of arrays and objects, one level at a time: recursion could exhaust the stack."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _refuse() -> NoReturn:
    raise ServiceError(ErrorCode.PARAMETER_INVALID) from None
