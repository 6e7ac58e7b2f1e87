"""A sender that keeps failing is skipped, and is tried again after a while."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from support.sms import Recorder, a_message

from sms_service.delivery import sender_pool
from sms_service.delivery.circuit_breakers import CircuitBreakers
from sms_service.delivery.routing import Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult

SENDER = "a sender"
MINUTE = timedelta(minutes=1)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class Hanging(Recorder):
    """A sender that does not answer."""

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        self.messages.append(outgoing)
        return await asyncio.Event().wait() and SendResult(Outcome.ACCEPTED)


def ending(outcome: Outcome) -> Callable[[], Awaitable[SendResult]]:
    async def attempt() -> SendResult:
        return SendResult(outcome)

    return attempt


async def opened(clock: Clock) -> CircuitBreakers:
    """Breakers, of which three failures in a row have opened one for 30 seconds."""
    breakers = CircuitBreakers(failures=3, open_seconds=30, clock=clock)
    for _ in range(3):
        assert not breakers.is_open(SENDER)
        assert (await breakers.send(SENDER, ending(Outcome.TRANSIENT))).outcome is Outcome.TRANSIENT
    return breakers


async def test_failures_in_a_row_open_a_breaker_and_one_success_closes_it() -> None:
    clock = Clock()
    with capture_logs() as logged:
        breakers = await opened(clock)
        assert breakers.is_open(SENDER)
        assert (await breakers.send(SENDER, ending(Outcome.ACCEPTED))).detail == "circuit_open"

        clock.now += 30
        assert not breakers.is_open(SENDER)
        assert (await breakers.send(SENDER, ending(Outcome.ACCEPTED))).outcome is Outcome.ACCEPTED
        assert not breakers.is_open(SENDER)
    assert [line["event"] for line in logged] == ["circuit.opened", "circuit.closed"]


async def test_one_message_of_many_tries_whether_the_sender_works_again() -> None:
    clock = Clock()
    breakers = await opened(clock)
    clock.now += 30
    is_sent = asyncio.Event()

    async def attempt() -> SendResult:
        await is_sent.wait()
        return SendResult(Outcome.TRANSIENT)

    sending = [asyncio.create_task(breakers.send(SENDER, attempt)) for _ in range(64)]
    await asyncio.sleep(0)
    assert breakers.is_open(SENDER)
    is_sent.set()

    details = [result.detail for result in await asyncio.gather(*sending)]
    assert details.count("circuit_open") == 63
    assert breakers.is_open(SENDER)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.INVALID_NUMBER, Outcome.RATE_LIMITED, Outcome.PERMANENT])
async def test_an_outcome_that_concerns_one_number_does_not_open_a_breaker(outcome: Outcome) -> None:
    breakers = CircuitBreakers(failures=1)
    await breakers.send(SENDER, ending(outcome))
    assert not breakers.is_open(SENDER)


async def test_an_exception_of_a_sender_counts_as_a_failure() -> None:
    breakers = CircuitBreakers(failures=1)
    sender = Recorder(RuntimeError("a bug"))
    pool = SenderPool([sender], [Route("+", (sender.name,))], {}, breakers)

    assert (await pool.send(sender.name, a_message(), MINUTE)).detail == "RuntimeError"
    assert breakers.is_open(sender.name)


async def test_a_sender_that_does_not_answer_opens_its_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_pool, "SEND_SECONDS", 0.01)
    sender = Hanging()
    pool = SenderPool.of_one(sender)

    details = [(await pool.send(sender.name, a_message(), MINUTE)).detail for _ in range(7)]

    assert details == ["timeout"] * 5 + ["circuit_open"] * 2
    assert len(sender.messages) == 5


async def test_a_code_that_expires_while_it_is_sent_says_nothing_about_its_sender() -> None:
    breakers, sender = CircuitBreakers(failures=1), Hanging()
    pool = SenderPool([sender], [Route("+", (sender.name,))], {}, breakers)

    assert (await pool.send(sender.name, a_message(), timedelta(milliseconds=10))).detail == "timeout"
    assert not breakers.is_open(sender.name)


async def test_after_a_try_whose_code_expired_the_next_message_tries() -> None:
    clock, sender = Clock(), Hanging()
    sender.name = SENDER
    breakers = await opened(clock)
    pool = SenderPool([sender], [Route("+", (SENDER,))], {}, breakers)
    clock.now += 30

    assert (await pool.send(SENDER, a_message(), timedelta(milliseconds=10))).detail == "timeout"

    assert (await breakers.send(SENDER, ending(Outcome.ACCEPTED))).outcome is Outcome.ACCEPTED


async def test_an_attempt_that_is_cancelled_after_others_opened_the_breaker_leaves_it_open() -> None:
    breakers = CircuitBreakers(failures=1, clock=Clock())
    pending = asyncio.create_task(breakers.send(SENDER, asyncio.get_running_loop().create_future))
    await asyncio.sleep(0)
    await breakers.send(SENDER, ending(Outcome.TRANSIENT))
    pending.cancel()
    await asyncio.wait({pending})

    assert breakers.is_open(SENDER)


async def test_a_try_that_is_cancelled_leaves_a_breaker_closed_that_an_earlier_message_has_closed() -> None:
    clock, is_sent = Clock(), asyncio.Event()
    breakers = CircuitBreakers(failures=1, open_seconds=30, clock=clock)

    async def accepted() -> SendResult:
        await is_sent.wait()
        return SendResult(Outcome.ACCEPTED)

    earlier = asyncio.create_task(breakers.send(SENDER, accepted))
    await asyncio.sleep(0)
    await breakers.send(SENDER, ending(Outcome.TRANSIENT))
    clock.now += 30
    trying = asyncio.create_task(breakers.send(SENDER, asyncio.get_running_loop().create_future))
    await asyncio.sleep(0)
    is_sent.set()
    await earlier
    trying.cancel()
    await asyncio.wait({trying})

    clock.now -= 1
    assert not breakers.is_open(SENDER)
