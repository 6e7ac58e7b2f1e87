"""Numbers for app review and CI: never sent to, a code of their own, a lane of their own, and an end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import structlog

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, mask

log = structlog.get_logger()

SENDER = "test number"
"""What the ledger calls the sender of a message that was none. No sender of a file can be named so."""


@dataclass(frozen=True)
class TestNumber:
    """One number, its code, and the last day (UTC) on which it works."""

    __test__ = False

    number: E164 = field(repr=False)
    code: str = field(repr=False)
    until: date

    def is_over(self, now: datetime) -> bool:
        """Whether its last day has passed."""
        return now.date() > self.until

    def demand(self, now: datetime) -> None:
        """Raise ``NUMBER_REFUSED`` after its last day: it is not sent to then, either."""
        if self.is_over(now):
            raise ServiceError(ErrorCode.NUMBER_REFUSED)


class TestNumbers:
    """All of them, by number."""

    __test__ = False

    def __init__(self, numbers: Iterable[TestNumber] = ()) -> None:
        self._numbers: Mapping[E164, TestNumber] = {one.number: one for one in numbers}

    def find(self, number: E164) -> TestNumber | None:
        """The test number that a number is, if it is one; over or not."""
        return self._numbers.get(number)

    def announce(self, now: datetime) -> None:
        """Say at start which there are: each is a way in with a code that somebody wrote down."""
        for one in self._numbers.values():
            log.warning("test_number.configured", masked=mask(one.number), until=str(one.until), over=one.is_over(now))


NO_TEST_NUMBERS = TestNumbers()
