"""What a developer sees of the logs below ``make run``."""

import json
import re
from typing import Any

import pytest
from stack.commands.log_lines import for_people

MOMENT = "2026-11-28T23:44:02.123456Z"


def entry(event: str = "request.answered", **facts: Any) -> str:
    fields = {"service": "gateway", "event": event, "level": "info", "timestamp": MOMENT, **facts}
    return json.dumps(fields)


def request(method: str = "POST", route: str = "/v2/sessions", status: int = 200, refusal: str = "") -> str:
    return entry(method=method, route=route, status=status, refusal=refusal, ms=41.2, request_id="9a0f3c")


def without_clock(line: str) -> str:
    return re.sub(r"^\d\d:\d\d:\d\d  ", "", line)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (request(), "200  POST   /v2/sessions  41 ms"),
        (request("DELETE", "/v2/me", 204), "204  DELETE /v2/me  41 ms"),
        (request(status=403, refusal="code_refused"), "403  POST   /v2/sessions  41 ms  code_refused"),
        (
            request("GET", "/pages/static/{name}", 404, "not_found"),
            "404  GET    /pages/static/{name}  41 ms  not_found",
        ),
    ],
)
def test_a_request_is_one_short_line(line: str, shown: str) -> None:
    assert [without_clock(each) for each in for_people(line)] == [shown]


@pytest.mark.parametrize(
    "line",
    [
        request("GET", "/pages/static/{name}"),
        request("GET", "/docs/static/{name}", 304),
        request("GET", "/docs/viewer/{name}"),
        request("GET", "/readyz"),
        entry("session.opened", service="auth-service", user_id=1),
        entry(service="sms-service", method="GET", route="/inbox/state", status=200, ms=1.0),
    ],
    ids=["static file", "unchanged file", "viewer", "health", "fact of a service", "call between services"],
)
def test_what_tells_a_developer_nothing_stays_in_the_files(line: str) -> None:
    assert list(for_people(line)) == []


def test_trouble_in_any_process_is_shown_with_its_facts_and_traceback() -> None:
    line = entry(
        "request.failed", service="auth-service", level="error", route="/v1/x", exception="Traceback:\n  KeyError"
    )
    first, *rest = for_people(line)
    assert without_clock(first) == "error  request.failed  route=/v1/x"
    assert rest == ["Traceback:", "  KeyError"]


@pytest.mark.parametrize("line", ["", "Traceback (most recent call last):", '"text"', "17", "{}", "{broken"])
def test_what_is_no_entry_is_shown_as_it_is(line: str) -> None:
    assert list(for_people(line)) == [line]
