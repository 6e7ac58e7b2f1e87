"""The trace context of a client: which values are valid, and how long they last.

The tests that begin a cause are coroutines, because each runs in a context of its own.
"""

import pytest

from shared.trace import Cause, begin_cause, current_cause, log_fields, parse_traceparent

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
VALID = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("text", "traceparent"),
    [
        (VALID, VALID),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-ff", f"00-{TRACE_ID}-00f067aa0ba902b7-ff"),
        (f"01-{VALID[3:]}", VALID),
        (f"01-{VALID[3:]}-13800138000", VALID),
    ],
)
def test_a_valid_value_is_passed_on_without_what_a_later_version_adds(text: str, traceparent: str) -> None:
    assert parse_traceparent(text) == traceparent


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        VALID.upper(),
        f" {VALID}",
        f"{VALID}\n",
        f"{VALID}-more",
        f"ff-{VALID[3:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-00f067aa0ba902b7",
        f"01-{VALID[3:]}.more",
        f"01-{VALID[3:]}-{'x' * 300}",
        f"01-{VALID[3:]}-+8613800138000\r\nX-Forged: 1",
    ],
)
async def test_an_invalid_value_is_ignored(traceparent: str) -> None:
    begin_cause("request", [traceparent])
    assert current_cause() == Cause("request")
    assert "trace_id" not in log_fields()


async def test_several_values_are_ignored() -> None:
    begin_cause("request", [VALID, VALID])
    assert current_cause() == Cause("request")


async def test_a_trace_lasts_until_the_next_request_of_the_connection() -> None:
    begin_cause("first", [VALID])
    assert (current_cause(), log_fields()["trace_id"]) == (Cause("first", VALID), TRACE_ID)
    begin_cause("second")
    assert current_cause() == Cause("second")
    assert "trace_id" not in log_fields()
