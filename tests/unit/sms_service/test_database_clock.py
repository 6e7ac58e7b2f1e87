"""The database's clock, told without asking."""

from datetime import UTC, datetime, timedelta

from sms_service.verification.store import MAX_CLOCK_AGE_SECONDS, MAX_READING_SECONDS, DatabaseClock

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Seconds:
    """A monotonic clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_goes_on_from_what_the_database_said() -> None:
    seconds = Seconds()
    clock = DatabaseClock(seconds)
    clock.set(NOON, seconds.now)
    assert clock.now() == NOON
    seconds.now += 1.5
    assert clock.now() == NOON + timedelta(seconds=1.5)


def test_it_tells_nothing_before_the_first_reading_and_after_an_old_one() -> None:
    seconds = Seconds()
    clock = DatabaseClock(seconds)
    assert clock.now() is None
    clock.set(NOON, seconds.now)
    seconds.now += MAX_CLOCK_AGE_SECONDS + 1
    assert clock.now() is None
    clock.set(NOON, seconds.now)
    assert clock.now() == NOON


def test_it_goes_on_from_the_reading_before_if_the_database_took_long() -> None:
    seconds = Seconds()
    clock = DatabaseClock(seconds)
    clock.set(NOON, seconds.now)
    begun = seconds.now
    seconds.now += MAX_READING_SECONDS * 1.1
    clock.set(NOON, begun)
    assert clock.now() == NOON + timedelta(seconds=MAX_READING_SECONDS * 1.1)
