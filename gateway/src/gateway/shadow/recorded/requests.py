"""Reads the values of a recorded request that have a role, and writes it again with others in their place."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from gateway.http.body.media_types import FORM, JSON, MULTIPART
from gateway.http.body.multipart import boundary_of, parse_multipart
from gateway.http.session_tokens import SESSION_COOKIE
from gateway.shadow.recorded.calls import ContractCall
from gateway.shadow.recorded.field_roles import Role, role_of
from gateway.shadow.recorded.recording import RecordedCall
from shared.errors import ServiceError

MAX_PARTS = 10_000
NOT_SENT = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "host", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "x-forwarded-for"),
    }
)
"""Headers of one connection, or of the way to the other back end (RFC 9110, 7.6.1)."""
FORWARDED = "x-forwarded-for"
_BEARER = re.compile(r"(Bearer +)([\x21-\x7e]+)", re.IGNORECASE)
_COOKIE = re.compile(rf"((?:^|;)\s*{SESSION_COOKIE}\s*=\s*\"?)([A-Za-z0-9._~-]+)")
_FIELD = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?")
"""A name of a form: ``phones``, ``phones[]``, ``phones[0]`` or ``tel[number]``."""

Values = list[tuple[Role, Any]]
"""Values of a request with their roles."""
Change = Callable[[Role, Any], Any]
"""The value to send in place of one with this role."""


@dataclass(frozen=True)
class Request:
    """A request to send, with everything as bytes will have it."""

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def rewritten(call: ContractCall, recorded: RecordedCall, change: Change) -> Request:
    """The request with changed values. What has no changed value stays byte for byte as it was recorded."""
    writer = _Writer(call, change)
    body = writer.body(recorded)
    path, mark, query = recorded.path.partition("?")
    target = writer.path(path) + mark + writer.form(query)
    headers = {name: value for name, value in recorded.headers.items() if name not in NOT_SENT}
    if recorded.address:
        headers[FORWARDED] = recorded.address
    for name, pattern in (("authorization", _BEARER), ("cookie", _COOKIE)):
        if name in headers:
            headers[name] = pattern.sub(writer.token, headers[name])
    return Request(recorded.method, target, headers, body)


def values_of(call: ContractCall, recorded: RecordedCall) -> Values:
    """The values with a role: those of the body, of the path and the query, and the tokens of headers."""
    found: Values = []

    def note(role: Role, value: Any) -> Any:
        found.append((role, value))
        return value

    rewritten(call, recorded, note)
    return found


class _Writer:
    """Applies a change to each place of a request."""

    def __init__(self, call: ContractCall, change: Change) -> None:
        self._call = call
        self._change = change

    def path(self, path: str) -> str:
        """The path with changed values in place of its ``{name}``."""
        changed = {name: str(self._value(name, value)) for name, value in self._call.values.items()}
        if self._call.operation is None or changed == self._call.values:
            return path
        return re.sub(r"\{(\w+)\}", lambda match: quote(changed[match[1]], safe=""), self._call.operation.path)

    def token(self, match: re.Match[str]) -> str:
        """A token of a header."""
        return match[1] + str(self._change(Role.TOKEN, match[2]))

    def body(self, recorded: RecordedCall) -> bytes:
        """The body. One that cannot be read stays as it is: so will its refusal."""
        raw, content_type = recorded.content, recorded.headers.get("content-type", "")
        media_type = Message()
        media_type["content-type"] = content_type
        try:
            match media_type.get_content_type() if content_type else "":
                case kind if kind == JSON:
                    return self._json(raw)
                case kind if kind == FORM:
                    return self.form(raw.decode()).encode()
                case kind if kind == MULTIPART and content_type.isascii():
                    return self._multipart(raw, boundary_of(content_type))
        except (ValueError, ServiceError):
            return raw
        return raw

    def _json(self, raw: bytes) -> bytes:
        fields = orjson.loads(raw)
        changed = self._tree(fields)
        return raw if changed == fields else orjson.dumps(changed)

    def _tree(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._tree(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self._tree(each, name) for each in value]
        return self._value(name, value)

    def form(self, text: str) -> str:
        """A query or a form."""
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="surrogateescape")
        changed = [(name, str(self._value(_field_name(name), value))) for name, value in pairs]
        return text if changed == pairs else urlencode(changed, encoding="utf-8", errors="surrogateescape")

    def _multipart(self, raw: bytes, boundary: bytes) -> bytes:
        for name, value in parse_multipart(raw, boundary, MAX_PARTS):
            changed = str(self._value(_field_name(name), value))
            if changed != value:
                raw = raw.replace(b"\r\n\r\n%b\r\n" % value.encode(), b"\r\n\r\n%b\r\n" % changed.encode(), 1)
        return raw

    def _value(self, name: str, value: Any) -> Any:
        role = role_of(name, *self._call.parameters)
        if role is None or value is None or isinstance(value, bool):
            return value
        return self._change(role, value)


def _field_name(name: str) -> str:
    match = _FIELD.fullmatch(name)
    if match is None:
        return name
    return match[2] if match[2] and not match[2].isdigit() else match[1]
