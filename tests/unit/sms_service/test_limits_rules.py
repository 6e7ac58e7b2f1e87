"""What `make mutation` found untested in the limits of a number: the cap of test numbers."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import ErrorCode, ServiceError
from sms_service.verification.limits import TEST_SENDS_PER_WINDOW, refuse_test_cap

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_test_number_gets_a_hundred_codes_in_24_hours_and_then_waits_for_the_oldest_to_leave() -> None:
    sends = [NOW - timedelta(minutes=minutes) for minutes in range(1, TEST_SENDS_PER_WINDOW + 1)]
    refuse_test_cap(sends[:-1], NOW)
    with pytest.raises(ServiceError) as refusal:
        refuse_test_cap(sends, NOW)
    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.DAILY_CAP, (24 * 60 - 100) * 60)
    refuse_test_cap(sends, NOW + timedelta(hours=24, minutes=-100))
