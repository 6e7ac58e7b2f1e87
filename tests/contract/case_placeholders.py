"""Placeholders for the recorder of contract cases: which values of a response vary, and how a case writes them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support.app import Reply
from support.contract_cases import NUMBERS, fill, fragments, matches

VARYING = frozenset(
    {
        *("access_token", "refresh_token", "token", "tmp_token", "ticket", "challenge", "result", "verify_code"),
        *("id", "user_id", "userId", "uuid", "nickname", "nickName", "nick_name", "kid", "x", "y", "budget_left"),
        *("created_at", "opened_at", "createTime", "create_time", "lastLoginTime", "refreshTime", "timestamp"),
        *("expires_in", "retry_after", "issuer", "jwks_uri"),
        *("at", "exported_at", "finished_at", "last_at", "last_login_at", "password_changed_at", "requested_at"),
        *("session_id", "updated_at"),
    }
)
"""Fields whose values differ from one run to the next."""
TOKEN = "[A-Za-z0-9_-]{43}"


class Placeholders:
    """Writes responses of one case. ``known`` are the player's values; it grows while the case is performed."""

    def __init__(self, steps: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> None:
        self._known = known
        self._sent = {text for step in steps for text in _texts(step.get("request"))}
        self._fragments = fragments()

    def response(self, reply: Reply) -> dict[str, Any]:
        """A response as a case writes it."""
        response: dict[str, Any] = {"status": reply.status}
        if reply.body != "":
            response["body"] = self.value(reply.body)
        headers = dict(self._headers(reply.headers))
        return response | ({"headers": headers} if headers else {})

    def value(self, value: Any, field: str = "") -> Any:
        """A value of the field ``field`` with placeholders."""
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self.value(each, field) for each in value]
        if isinstance(value, bool) or value is None:
            return value
        return self._integer(value, field) if isinstance(value, int) else self._text(str(value), field)

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        written = {name: self.value(each, name) for name, each in value.items()}
        for name, fragment in self._fragments.items():
            if fragment.keys() == value.keys():
                return {"$fragment": name, **self._overrides(value, written, fragment)}
        return written

    def _overrides(self, value: dict[str, Any], written: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
        """The fields in which an object differs from a fragment, and those whose value the case itself has sent."""
        return {
            field: written[field]
            for field, expected in fragment.items()
            if not matches(value[field], fill(expected, self._known))
            or (expected == "<text>" and value[field] in self._sent)
        }

    def _integer(self, value: int, field: str) -> Any:
        name = self._name_of(str(value))
        if name is not None:
            return f"{{int:{name}}}"
        return "<integer>" if field in VARYING else value

    def _text(self, value: str, field: str) -> str:
        if value in self._sent:
            return value
        name = self._name_of(value)
        if name is not None:
            return f"{{{name}}}"
        for number in NUMBERS:
            value = value.replace(self._known[number], f"{{{number}}}")
        if field not in VARYING or not value:
            return value
        return "<digits>" if value.isascii() and value.isdigit() else "<text>"

    def _name_of(self, value: str) -> str | None:
        """The name of a known value. Short values such as codes may coincide with something else."""
        return next((name for name, known in self._known.items() if known == value and len(known) > 6), None)

    def _headers(self, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """The headers that belong to a contract."""
        problem = headers.get("Content-Type", "").startswith("application/problem+json")
        for name in ("Authorization", "Set-Cookie"):
            if name in headers:
                text = re.escape(headers[name]).replace(r"\ ", " ").replace(r"\-", "-")
                yield name, f"<match:{re.sub(r'(?<=Bearer |ession=)[A-Za-z0-9_-]{43}', TOKEN, text)}>"
        for name in ("Content-Type", "Content-Language", "Vary", "WWW-Authenticate") if problem else ():
            if name in headers:
                yield name, headers[name].partition(";")[0]
        if "Retry-After" in headers:
            yield "Retry-After", "<digits>"
        if "Allow" in headers:
            yield "Allow", headers["Allow"]
        if headers.get("Cache-Control") != "no-store":
            yield "Cache-Control", headers["Cache-Control"]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str) and "{" not in value:
        yield from (value, value.strip())
