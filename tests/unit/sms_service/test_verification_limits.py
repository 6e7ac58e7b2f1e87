"""When a code may be sent again, and which code it is: pure rules, with the time passed in."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.errors import ErrorCode, ServiceError
from sms_service.otp import CODE_LIFETIME
from sms_service.verification.limits import (
    WINDOW,
    NumberState,
    Verification,
    next_verification,
    recent,
    refuse_cooldown,
    refuse_daily_cap,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def ago(**past: float) -> datetime:
    return NOW - timedelta(**past)


def state(verification: Verification | None = None) -> NumberState:
    return NumberState(NOW, 7, (), verification)


def verification(**changed: object) -> Verification:
    defaults = {"created_at": ago(minutes=1), "expires_at": ago(minutes=1) + CODE_LIFETIME, "tries": 2, "version": 4}
    return Verification(uuid4(), 1, **(defaults | changed))


def refused(sends: list[datetime], *, cooldown: int = 60, cap: int = 10) -> tuple[ErrorCode, int | None] | None:
    try:
        refuse_cooldown(sends, cooldown, NOW)
        refuse_daily_cap(sends, cap, NOW)
    except ServiceError as error:
        return error.code, error.retry_after
    return None


@pytest.mark.parametrize(
    ("since", "cooldown", "left"),
    [(0, 60, 60), (0.001, 60, 60), (1, 60, 59), (59.5, 60, 1), (59.999999, 60, 1), (60, 60, None), (60, 120, 60)],
)
def test_the_cooldown_is_in_whole_seconds_and_ends_on_time(since: float, cooldown: int, left: int | None) -> None:
    expected = None if left is None else (ErrorCode.COOLDOWN, left)
    assert refused([ago(seconds=since)], cooldown=cooldown) == expected


def test_the_cooldown_counts_from_the_last_send_in_any_order() -> None:
    assert refused([ago(seconds=10), ago(hours=3), ago(seconds=50)]) == (ErrorCode.COOLDOWN, 50)


def test_a_number_without_sends_is_not_refused() -> None:
    assert refused([]) is None


def test_the_cap_ends_when_the_oldest_send_that_fills_it_leaves_the_window() -> None:
    sends = [ago(hours=hours) for hours in range(1, 11)]
    assert refused(sends) == (ErrorCode.DAILY_CAP, 14 * 3600)
    assert refused(sends, cap=3) == (ErrorCode.DAILY_CAP, 21 * 3600)
    assert refused(sends[:9]) is None


def test_a_send_leaves_the_window_after_exactly_a_day() -> None:
    assert recent([NOW - WINDOW, NOW - WINDOW + TICK, NOW], NOW) == (NOW - WINDOW + TICK, NOW)
    assert refused([NOW - WINDOW + TICK], cap=1) == (ErrorCode.DAILY_CAP, 1)
    assert refused([NOW - WINDOW], cap=1) is None


def test_no_dialect_can_raise_the_cap_above_ten() -> None:
    sends = [ago(hours=hours) for hours in range(1, 11)]
    assert refused(sends, cap=50) == (ErrorCode.DAILY_CAP, 14 * 3600)


def test_a_live_verification_is_sent_again_unchanged() -> None:
    current = verification()
    again = next_verification(state(current), uuid4(), 9)
    assert (again.verification_id, again.code_key_id) == (current.verification_id, 1)
    assert (again.expires_at, again.tries, again.version) == (current.expires_at, 2, 5)


@pytest.mark.parametrize(
    "unusable",
    [
        None,
        verification(tries=5),
        verification(verified_at=ago(seconds=1)),
        verification(expires_at=NOW),
    ],
    ids=["none", "exhausted", "verified", "expired"],
)
def test_a_new_verification_is_made_when_none_is_live(unusable: Verification | None) -> None:
    identity = uuid4()
    made = next_verification(state(unusable), identity, 9)
    assert made == Verification(identity, 9, NOW, NOW + timedelta(minutes=5), version=1)


def test_a_verification_is_live_until_its_last_moment() -> None:
    current = verification(expires_at=NOW + TICK, tries=4)
    assert current.is_live(NOW)
    assert not current.is_live(NOW + TICK)
