"""When an account is dormant: not seen for the time of the setting, and not banned."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from auth_service.accounts.dormancy import Dormancy

NOW = datetime(2026, 11, 29, tzinfo=UTC)
AFTER = timedelta(days=60)


@dataclass(frozen=True)
class User:
    seen_at: datetime
    is_banned: bool = False


@pytest.mark.parametrize(
    ("away", "is_dormant"),
    [
        (timedelta(), False),
        (AFTER - timedelta(seconds=1), False),
        (AFTER, True),
        (timedelta(days=10_000), True),
        (timedelta(days=-1), False),
    ],
)
def test_an_account_is_dormant_after_the_time_of_the_setting(away: timedelta, is_dormant: bool) -> None:
    assert Dormancy(AFTER, lambda: NOW).includes(User(NOW - away)) is is_dormant


def test_a_banned_account_is_never_dormant() -> None:
    assert not Dormancy(AFTER, lambda: NOW).includes(User(NOW - 2 * AFTER, is_banned=True))


def test_no_account_is_dormant_when_the_setting_is_off() -> None:
    assert not Dormancy(None, lambda: NOW).includes(User(NOW - 100 * AFTER))
