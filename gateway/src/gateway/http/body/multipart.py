"""Multipart forms (RFC 7578), parsed in memory: fields only, as text."""

import re
from collections.abc import Iterator
from email.message import Message
from itertools import islice, pairwise

from gateway.http.body.errors import BodyError, BodyFault, refuse, without_repeats

MAX_PART_HEADERS = 8
MAX_HEAD = 1024
MAX_BOUNDARY = 70
"""Characters of a boundary (RFC 2046, 5.1.1)."""

_HEAD_END = re.compile(rb"\r\n\r\n")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*?)[ \t]*")
_FORM_DATA = re.compile(r"form-data\s*(?:;|$)", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_TEXT_ENCODINGS = {"7bit", "8bit", "binary"}
_FIELD_TYPES = {"text/plain", "application/octet-stream", "multipart/form-data"}
"""The media types with which clients label fields. Retrofit's ``RequestBody`` often has the last one."""


def boundary_of(content_type: str) -> bytes:
    """The boundary of a ``Content-Type``. Raises ``PARAMETER_INVALID``."""
    if not content_type.isascii():
        refuse()
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary() or ""
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        refuse()
    return boundary.encode()


def parse_multipart(raw: bytes, boundary: bytes, max_fields: int) -> list[tuple[str, str]]:
    """The fields of a form, in their order.

    Raises ``PARAMETER_INVALID`` for what is malformed, for a part without a name or with two, for more than
    ``max_fields`` and, as a ``BodyError``, for a file.
    """
    delimiter = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    delimiters = list(islice(delimiter.finditer(raw), max_fields + 2))
    ends = [position for position, found in enumerate(delimiters) if found[1]]
    if not ends or ends[0] > max_fields:
        refuse()
    parts = pairwise(delimiters[: ends[0] + 1])
    return [_field(raw[opening.end() : following.start()]) for opening, following in parts]


def _field(part: bytes) -> tuple[str, str]:
    head_end = _HEAD_END.search(part, 0, MAX_HEAD * MAX_PART_HEADERS)
    if head_end is None:
        refuse()
    headers = without_repeats(list(_headers(part[: head_end.start()])))
    name = _name(headers.get("content-disposition", ""))
    content_type = headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    encoding = headers.get("content-transfer-encoding", "binary").lower()
    if not name or encoding not in _TEXT_ENCODINGS or content_type not in _FIELD_TYPES:
        refuse()
    return name, _text(part[head_end.end() :])


def _headers(head: bytes) -> Iterator[tuple[str, str]]:
    lines = _text(head).split("\r\n")
    if len(lines) > MAX_PART_HEADERS + 1:
        refuse()
    for line in filter(None, lines):
        header = _HEADER.fullmatch(line) if len(line) <= MAX_HEAD else None
        if header is None:
            refuse()
        yield header[1].lower(), header[2]


def _name(disposition: str) -> str:
    """The name of a field. Raises ``BodyError`` for a file, which has a file name, be it empty."""
    if not _FORM_DATA.match(disposition):
        return ""
    parameters = without_repeats(
        [
            (name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
            for name, quoted, plain in _PARAMETER.findall(disposition)
        ]
    )
    if any(name.startswith("filename") for name in parameters):
        raise BodyError(BodyFault.FILE)
    return parameters.get("name", "")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        refuse()
