"""A sender that keeps failing is skipped, and is tried again after a while."""

import time

import circuitbreaker
import pytest
from structlog.testing import capture_logs
from support.sms import Recorder, a_message

from sms_service.delivery.circuit_breakers import CircuitBreakers
from sms_service.senders.port import Outcome


async def test_failures_in_a_row_open_a_breaker_and_one_success_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    breakers, sender = CircuitBreakers(failures=3, open_seconds=30), Recorder(Outcome.TRANSIENT)
    with capture_logs() as logged:
        for _ in range(3):
            assert not breakers.is_open(sender.name)
            assert (await breakers.send(sender, a_message())).outcome is Outcome.TRANSIENT
        assert breakers.is_open(sender.name)
        assert (await breakers.send(sender, a_message())).detail == "circuit_open"
        assert len(sender.messages) == 3

        later = time.monotonic() + 31
        monkeypatch.setattr(circuitbreaker, "monotonic", lambda: later)
        assert not breakers.is_open(sender.name)
        sender.outcome = Outcome.ACCEPTED
        assert (await breakers.send(sender, a_message())).outcome is Outcome.ACCEPTED
        assert not breakers.is_open(sender.name)
    assert [line["event"] for line in logged] == ["circuit.opened", "circuit.closed"]


async def test_an_exception_counts_as_a_failure_and_is_raised() -> None:
    breakers, sender = CircuitBreakers(failures=1), Recorder(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await breakers.send(sender, a_message())
    assert breakers.is_open(sender.name)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.INVALID_NUMBER, Outcome.RATE_LIMITED, Outcome.PERMANENT])
async def test_an_outcome_that_concerns_one_number_does_not_open_a_breaker(outcome: Outcome) -> None:
    breakers, sender = CircuitBreakers(failures=1), Recorder(outcome)
    await breakers.send(sender, a_message())
    assert not breakers.is_open(sender.name)
