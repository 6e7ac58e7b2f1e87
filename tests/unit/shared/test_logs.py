"""Private values never reach a log line."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.process.logs import PRIVATE, drop_private, line_renderer, scrub_exception

NUMBERS = ["+8613800138000", "13800138000", "call 13800138000.", "\x0113800138000", "913800138000"]
NAMES = st.sampled_from([*sorted(PRIVATE), "field", "reason", "route"])

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
    written = subprocess.run([sys.executable, "-c", WRITES_LINES], check=True, capture_output=True)

    ours, theirs = (json.loads(line) for line in written.stdout.splitlines())
    assert written.stderr == b""
    assert (ours["event"], ours["service"], ours["level"]) == ("request.answered", "gateway", "info")
    assert ours["route"] == '/a"\n{"event":"forged"}\x1b[0m'
    assert (theirs["event"], theirs["service"], theirs["level"]) == ("refused\nforged", "gateway", "error")
    assert {datetime.fromisoformat(each["timestamp"]).utcoffset() for each in (ours, theirs)} == {timedelta(0)}


@given(
    st.recursive(
        st.text() | st.integers(-(2**53), 2**53) | st.booleans() | st.sampled_from(NUMBERS),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    st.text(),
    st.sampled_from(["", "\x01", "\x1b", '"', "\\", "7", "+", "é"]),
    NAMES,
)
def test_a_line_that_is_searched_as_a_whole_hides_what_a_search_of_each_value_hides(
    value: object, text: str, before: str, name: str
) -> None:
    event = {"event": "x", name: value, "detail": f"{text}{before}13800138000{text}"}
    expected = drop_private(None, "info", dict(event))

    line = json.loads(line_renderer("gateway")(None, "info", dict(event)))

    assert {field: line[field] for field in event} == json.loads(orjson.dumps(expected))
