"""Bodies as clients send them, read strictly and within bounds: JSON, forms and multipart forms (fields only)."""

import asyncio
import json
import re
from collections.abc import Collection
from enum import StrEnum
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from shared.errors import ErrorCode, ServiceError

MAX_BODY_SECONDS = 4.0
MAX_DEPTH = 32
MAX_FIELDS = 64
MAX_LIST_FIELDS = 10_000
"""The fields of a form that has a list: each item is a field."""
MAX_PART_HEADERS = 8
MAX_LINE = 1024

JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LIST_ITEM = re.compile(r"([^\[\]]+)\[[0-9]*\]")
"""An item of a list in a form: ``phones[]`` or ``phones[0]``."""
_UTF_8 = {"utf-8", "utf8"}
_LIKE_ASCII = {"ascii", "us-ascii", "iso-8859-1", "latin1", "windows-1252", "gbk", "gb2312", "gb18030", "big5"}
"""Character sets that clients name by default, such as Apache HttpClient's Latin-1. ASCII text is the same in them."""
_ESCAPED_BEYOND_ASCII = re.compile(b"%[89a-f]", re.IGNORECASE)
_TEXT_ENCODINGS = {"7bit", "8bit", "binary"}
_FIELD_TYPES = {"text/plain", "application/octet-stream"}
"""The media types with which clients label fields of a multipart form."""
_LABEL_OF_WHOLE_FORM = re.compile(rb"\r\nContent-Type: *multipart/form-data[^\r\n]*(?=\r\n)", re.IGNORECASE)
"""A header with which Retrofit's ``RequestBody`` is often told to label a field, as if it were a form of its own."""

Pairs = list[tuple[str, str]]


class BodyFault(StrEnum):
    """Why a body cannot be read, where a word on it helps the client's developer."""

    MEDIA_TYPE = "media_type"
    CHARSET = "charset"
    COMPRESSED = "compressed"
    JSON_AS_FORM = "json_as_form"
    FILE = "file"


class BodyError(ServiceError):
    """A refusal of a body, with its reason: problem documents explain it."""

    def __init__(
        self, fault: BodyFault, code: ErrorCode = ErrorCode.PARAMETER_INVALID, *, field: str | None = None
    ) -> None:
        super().__init__(code, field=field)
        self.fault = fault


async def read_fields(request: web.Request, max_bytes: int, lists: Collection[str]) -> dict[str, Any]:
    """The fields of a body. ``lists`` are the names of which a form may have several, each an item of a list.

    Raises ``PARAMETER_INVALID``.
    """
    media_type = request.content_type
    if (request.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise BodyError(BodyFault.COMPRESSED)  # the bodies of these calls are too small to need compression
    if media_type not in {JSON, FORM, MULTIPART}:
        raise BodyError(BodyFault.MEDIA_TYPE)
    raw = await read_body(request, max_bytes)
    _require_utf_8(request, raw)
    if media_type == MULTIPART:
        return _collect(await _multipart_pairs(raw, request, MAX_LIST_FIELDS if lists else MAX_FIELDS), lists)
    text = _decode(raw.removeprefix(_BYTE_ORDER_MARK))
    return parse_json(text) if media_type == JSON else parse_form(text, lists)


def _require_utf_8(request: web.Request, raw: bytes) -> None:
    """Refuse a body of another character set, unless it is all ASCII."""
    charset = (request.charset or "utf-8").lower().replace("_", "-")
    is_ascii = raw.isascii() and not (request.content_type == FORM and _ESCAPED_BEYOND_ASCII.search(raw))
    if charset not in _UTF_8 and not (charset in _LIKE_ASCII and is_ascii):
        raise BodyError(BodyFault.CHARSET)


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


def parse_form(text: str, lists: Collection[str] = ()) -> dict[str, Any]:
    """Parse a query or a form. Raises ``PARAMETER_INVALID`` for a repeated name that is not one of ``lists``."""
    limit = MAX_LIST_FIELDS if lists else MAX_FIELDS
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=limit)
    except ValueError:
        _refuse()
    return _collect(pairs, lists)


def _collect(pairs: Pairs, lists: Collection[str]) -> dict[str, Any]:
    if not lists:
        return _without_repeats(pairs)
    items: dict[str, list[str]] = {}
    others: Pairs = []
    for name, value in pairs:
        item = _LIST_ITEM.fullmatch(name)
        listed = item[1] if item else name
        if listed in lists:
            items.setdefault(listed, []).append(value)
        else:
            others.append((name, value))
    return _without_repeats(others) | items


async def _multipart_pairs(raw: bytes, request: web.Request, limit: int) -> Pairs:
    """The fields of a multipart form (RFC 7578). A file among them is refused."""
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), len(raw) + 1)
    content.feed_data(_LABEL_OF_WHOLE_FORM.sub(b"", raw))
    content.feed_eof()
    pairs: Pairs = []
    try:
        reader = MultipartReader(request.headers, content, max_field_size=MAX_LINE, max_headers=MAX_PART_HEADERS)
        while (part := await reader.next()) is not None:
            if len(pairs) == limit:
                _refuse()
            pairs.append(await _field(part))
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError):  # how aiohttp reports malformed parts
        _refuse()
    return pairs


async def _field(part: MultipartReader | BodyPartReader) -> tuple[str, str]:
    if isinstance(part, MultipartReader) or part.filename is not None:
        raise BodyError(BodyFault.FILE)
    encoding = part.headers.get("Content-Transfer-Encoding", "binary").lower()
    content_type = part.headers.get("Content-Type", "text/plain").partition(";")[0].strip().lower()
    if not part.name or encoding not in _TEXT_ENCODINGS or content_type not in _FIELD_TYPES:
        _refuse()
    return part.name, _decode(bytes(await part.read()))


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


def _decode(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        _refuse()


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
