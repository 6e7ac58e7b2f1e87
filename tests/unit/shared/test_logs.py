"""Private values never reach a log line."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import hypothesis
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.process.logs import PRIVATE, drop_private, line_renderer, scrub_exception

NUMBERS = ["+8613800138000", "13800138000", "call 13800138000.", "\x0113800138000", "913800138000", "+3706123456"]
NAMES = st.sampled_from([*sorted(PRIVATE), "field", "reason", "route"]) | st.sampled_from(["field", "reason", "route"])

WRITES_LINES = """
import logging
import structlog
from shared.process.logs import configure
configure("gateway")
structlog.get_logger().info("request.answered", route='/a"\\n{"event":"forged"}\\x1b[0m')
logging.getLogger("a.library").error("refused\\nforged")
"""


def test_private_names_are_blanked() -> None:
    line = drop_private(None, "info", dict.fromkeys(PRIVATE, "4711") | {"event": "x", "user_id": 138001380001234})
    assert "4711" not in str(line)
    assert line["user_id"] == 138001380001234


def test_private_names_are_blanked_at_any_depth() -> None:
    line = drop_private(None, "info", {"event": "x", "call": {"code": "123456", "to": ["+8613800138000"]}})
    assert line["call"] == {"code": "[private]", "to": ["[number]"]}


def test_numbers_in_text_are_blanked() -> None:
    line = drop_private(None, "info", {"event": "sent to +8613800138000 and 13800138000."})
    assert line["event"] == "sent to [number] and [number]."


def test_runs_of_six_digits_are_removed_from_a_traceback() -> None:
    text = "UniqueViolationError: Key (phone)=(+8613800138000) already exists; code 123456"
    line = scrub_exception(None, "error", {"exception": text})
    assert line["exception"] == "UniqueViolationError: Key (phone)=([digits]) already exists; code [digits]"


def test_hex_ids_are_kept_even_if_they_contain_eleven_digits() -> None:
    ids = {"request_id": "a13800138000bcdef0123456", "trace_id": "4bf92f35b13800138000ce929d0e0e47"}
    assert drop_private(None, "", dict(ids)) == ids


def test_a_log_line_is_one_line_of_json_in_utc() -> None:
    """In a process of its own: logging is configured once for each. A value cannot begin a line of its own."""
    done = subprocess.run([sys.executable, "-c", WRITES_LINES], check=True, capture_output=True)

    ours, theirs = (json.loads(line) for line in done.stdout.splitlines())
    assert done.stderr == b""
    assert (ours["event"], ours["service"], ours["level"]) == ("request.answered", "gateway", "info")
    assert ours["route"] == '/a"\n{"event":"forged"}\x1b[0m'
    assert (theirs["event"], theirs["service"], theirs["level"]) == ("refused\nforged", "gateway", "error")
    assert {datetime.fromisoformat(each["timestamp"]).utcoffset() for each in (ours, theirs)} == {timedelta(0)}


@dataclass
class Login:
    to: str
    password: str = field(repr=False)


def written(**event: object) -> dict[str, object]:
    """The line of an event, without what every line has besides."""
    line: dict[str, object] = json.loads(line_renderer("gateway")(None, "info", {"event": "x", **event}))
    return {name: line[name] for name in event}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"code": "123456"}, {"code": "[private]"}),
        ([{"to": {"pwd": "hunter2"}}], [{"to": {"pwd": "[private]"}}]),
        ("to +3706123456", "to [number]"),
        (("13800138000",), ["[number]"]),
        ({"13800138000"}, ["[number]"]),
        (set(), []),
        (ValueError("13800138000 is taken"), "ValueError('[number] is taken')"),
        (Login("13800138000", "hunter2"), "Login(to='[number]')"),
        (Login("", "hunter2"), "Login(to='')"),
        ("7 of 9 {", "7 of 9 {"),
        ("a 1380013800 b", "a 1380013800 b"),
        ("\x0113800138000", "\x01[number]"),
        (138001380001234, 138001380001234),
    ],
)
def test_a_line_hides_a_private_name_in_an_object_and_a_number_in_a_text(value: object, expected: object) -> None:
    assert written(detail=value) == {"detail": expected}


@pytest.mark.parametrize("value", ["hunter2", "\ud800", 2**70, {1: "2"}, {"inner": "+8613800138000"}])
def test_a_private_name_hides_every_value(value: object) -> None:
    assert written(password=value, seconds=1.5) == {"password": "[private]", "seconds": 1.5}


TEXTS = st.text() | st.sampled_from(NUMBERS)
VALUES = st.recursive(
    TEXTS | st.integers(-(2**53), 2**53) | st.booleans() | st.tuples(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(
    VALUES,
    st.text(),
    st.sampled_from(["", "\x01", "\x1b", '"', "\\", "7", "+", "é"]),
    st.sampled_from(["", *NUMBERS]),
    NAMES,
)
def test_a_line_that_is_searched_as_a_whole_hides_what_a_search_of_each_value_hides(
    value: object, text: str, before: str, number: str, name: str
) -> None:
    event = {name: value, "detail": f"{text}{before}{number}{text}"}
    expected = json.loads(orjson.dumps(drop_private(None, "info", dict(event))))
    hypothesis.event(f"something is hidden: {expected != json.loads(orjson.dumps(event))}")

    assert written(**event) == expected
