"""Test numbers, for app review and CI: a fixed code, limits of their own, a last day, and no message is ever sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import structlog

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, mask

log = structlog.get_logger()

SENDER = "test number"
"""The sender in the ledger for messages to test numbers. The settings file does not allow this name for a sender."""


@dataclass(frozen=True)
class TestNumber:
    """One number, its code, and the last day (UTC) on which the code works."""

    __test__ = False

    number: E164 = field(repr=False)
    code: str = field(repr=False)
    until: date

    def is_expired(self, now: datetime) -> bool:
        """Whether the last day has passed."""
        return now.date() > self.until

    def refuse_expired(self, now: datetime) -> None:
        """Raise ``NUMBER_REFUSED`` after the last day. The number gets no message then, either."""
        if self.is_expired(now):
            raise ServiceError(ErrorCode.NUMBER_REFUSED)


class TestNumbers:
    """The test numbers of the settings file."""

    __test__ = False

    def __init__(self, numbers: Iterable[TestNumber] = ()) -> None:
        self._by_number: Mapping[E164, TestNumber] = {test.number: test for test in numbers}

    def find(self, number: E164) -> TestNumber | None:
        """The test number with these digits, expired or not."""
        return self._by_number.get(number)

    def log_configured(self, now: datetime) -> None:
        """Warn of each test number at the start: its code is written down somewhere, and it opens an account."""
        for test in self._by_number.values():
            log.warning(
                "test_number.configured",
                masked=mask(test.number),
                until=str(test.until),
                expired=test.is_expired(now),
            )


NO_TEST_NUMBERS = TestNumbers()
