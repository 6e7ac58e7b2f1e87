"""Bodies as clients send them, read strictly and within bounds: JSON, forms and multipart forms (fields only)."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.http.body.errors import BodyError, BodyFault, refuse, without_repeats
from gateway.http.body.json_text import parse_json
from gateway.http.body.media_types import FORM, JSON, MULTIPART
from gateway.http.body.multipart import boundary_of, parse_multipart

MAX_BODY_SECONDS = 4.0
SMALL_BODY_BYTES = 16 * 1024
"""Bodies up to this size are parsed for every caller. It takes 1 ms or less."""
MAX_FIELDS = 64
MAX_LIST_FIELDS = 10_000
"""The fields of a form that has a list: each item is a field."""
MIN_ITEM_BYTES = 16
"""What an item of a list takes in a form, with its name: bounds the fields of a small body."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LIST_ITEM = re.compile(r"([^\[\]]+)\[[0-9]*\]")
"""An item of a list in a form: ``phones[]`` or ``phones[0]``."""
_UTF_8 = {"utf-8", "utf8"}
_LIKE_ASCII = {"ascii", "us-ascii", "iso-8859-1", "latin1", "windows-1252", "gbk", "gb2312", "gb18030", "big5"}
"""Character sets that clients name by default, such as Apache HttpClient's Latin-1. ASCII text is the same in them."""
_ESCAPED_BEYOND_ASCII = re.compile(b"%[89a-f]", re.IGNORECASE)

Pairs = list[tuple[str, str]]
Admit = Callable[[bytes], Awaitable[None]]
"""Decides, by a body that is not parsed yet, whether it may be parsed. Raises ``ServiceError`` if not."""


async def read_fields(
    request: web.Request, max_bytes: int, lists: Collection[str] = (), admit: Admit | None = None
) -> dict[str, Any]:
    """The fields of a body. ``lists`` are the names of which a form may have several, each an item of a list.

    ``admit`` decides about bodies of more than ``SMALL_BODY_BYTES``. Raises ``PARAMETER_INVALID``.
    """
    _require_readable(request)
    raw = await read_body(request, max_bytes)
    if admit is not None and len(raw) > SMALL_BODY_BYTES:
        await admit(raw)
    return _parse(request, raw, lists)


async def read_fields_if_any(request: web.Request, max_bytes: int) -> dict[str, Any]:
    """The fields of a body that may be empty, also where its headers promise one. Raises ``PARAMETER_INVALID``."""
    raw = await read_body(request, max_bytes)
    if not raw:
        return {}
    _require_readable(request)
    return _parse(request, raw, ())


def _require_readable(request: web.Request) -> None:
    if (request.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise BodyError(BodyFault.COMPRESSED)  # the bodies of these calls are too small to need compression
    if request.content_type not in {JSON, FORM, MULTIPART}:
        raise BodyError(BodyFault.MEDIA_TYPE)


def _parse(request: web.Request, raw: bytes, lists: Collection[str]) -> dict[str, Any]:
    media_type = request.content_type
    _require_utf_8(request, raw)
    if media_type == MULTIPART:
        boundary = boundary_of(request.headers["Content-Type"])
        return _collect(parse_multipart(raw, boundary, _max_fields(len(raw), lists)), lists)
    text = _decode(raw.removeprefix(_BYTE_ORDER_MARK))
    return parse_json(text) if media_type == JSON else parse_form(text, lists)


def _require_utf_8(request: web.Request, raw: bytes) -> None:
    """Refuse a body of another character set, unless it is all ASCII."""
    charset = (request.charset or "utf-8").lower().replace("_", "-")
    if charset in _UTF_8:
        return
    is_ascii = raw.isascii() and not (request.content_type == FORM and _ESCAPED_BEYOND_ASCII.search(raw))
    if charset not in _LIKE_ASCII or not is_ascii:
        raise BodyError(BodyFault.CHARSET)


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """Read a body. Raises ``PARAMETER_INVALID`` if it exceeds ``max_bytes`` or takes more than four seconds."""
    if (request.content_length or 0) > max_bytes:
        refuse()
    if request.content.is_eof():  # most arrive with their head
        raw = request.content.read_nowait()
        if len(raw) > max_bytes:
            refuse()
        return raw
    return await _read_rest(request, max_bytes)


async def _read_rest(request: web.Request, max_bytes: int) -> bytes:
    raw = bytearray()
    try:
        async with asyncio.timeout(MAX_BODY_SECONDS):
            while chunk := await request.content.readany():
                raw += chunk
                if len(raw) > max_bytes:
                    refuse()
    except TimeoutError:
        refuse()
    return bytes(raw)


def parse_form(text: str, lists: Collection[str] = ()) -> dict[str, Any]:
    """Parse a query or a form. Raises ``PARAMETER_INVALID`` for a repeated name that is not one of ``lists``."""
    limit = _max_fields(len(text), lists)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=limit)
    except ValueError:
        refuse()
    return _collect(pairs, lists)


def _max_fields(size: int, lists: Collection[str]) -> int:
    return min(MAX_LIST_FIELDS, MAX_FIELDS + size // MIN_ITEM_BYTES) if lists else MAX_FIELDS


def _collect(pairs: Pairs, lists: Collection[str]) -> dict[str, Any]:
    if not lists:
        return without_repeats(pairs)
    items: dict[str, list[str]] = {}
    others: Pairs = []
    for name, value in pairs:
        item = _LIST_ITEM.fullmatch(name)
        listed = item[1] if item else name
        if listed in lists:
            items.setdefault(listed, []).append(value)
        else:
            others.append((name, value))
    return without_repeats(others) | items


def _decode(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        refuse()
