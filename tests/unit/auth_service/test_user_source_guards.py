"""What spares the user source: the circuit breaker, the rate, one job for each key, and which failures count."""

import asyncio
from dataclasses import dataclass, field

import pytest

from auth_service.user_source.guarded_source import GuardedSource
from auth_service.user_source.model import Field, SourceFailedError
from auth_service.user_source.request_rate import RequestRate
from auth_service.user_source.single_flight import SingleFlight
from shared.errors import ErrorCode, ServiceError
from shared.outbound.circuit_breaker import CircuitBreaker


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Source:
    """Fails while ``fails``, answers nothing while it ``waits``, and counts the questions."""

    fails: bool = False
    waits: bool = False
    questions: list[tuple[str, str]] = field(default_factory=list)

    async def fetch(self, field: Field, value: str) -> bytes | None:
        self.questions.append((field, value))
        if self.waits:
            await asyncio.Event().wait()
        if self.fails:
            raise SourceFailedError("status_500")
        return None


def opened(clock: Clock) -> CircuitBreaker:
    """A breaker that three failures in a row have opened for ten seconds."""
    breaker = CircuitBreaker(3, 10, clock)
    for _ in range(3):
        assert breaker.seconds_to_wait() == 0
        breaker.record_failure()
    return breaker


def test_a_breaker_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = CircuitBreaker(3, 10, Clock())
    for _ in range(5):
        breaker.record_failure()
        breaker.record_failure()
        assert not breaker.is_open
        breaker.record_success()
    assert opened(Clock()).is_open


def test_an_open_breaker_lets_one_call_through_when_its_time_is_over() -> None:
    clock = Clock()
    breaker = opened(clock)
    assert breaker.seconds_to_wait() == 10
    clock.now += 9
    assert breaker.seconds_to_wait() == 1
    clock.now += 1
    assert breaker.seconds_to_wait() == 0
    assert breaker.seconds_to_wait() == 10


def test_a_success_closes_the_breaker_and_a_failure_leaves_it_open_for_as_long_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 10
    assert breaker.seconds_to_wait() == 0
    clock.now += 2
    breaker.record_failure()
    assert breaker.seconds_to_wait() == 10
    clock.now += 10
    assert breaker.seconds_to_wait() == 0
    breaker.record_success()
    assert (breaker.is_open, breaker.seconds_to_wait()) == (False, 0)


def test_a_call_that_never_reports_keeps_no_breaker_open_for_ever() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 10
    assert breaker.seconds_to_wait() == 0
    clock.now += 10
    assert breaker.seconds_to_wait() == 0


def test_a_rate_allows_a_second_at_once_and_then_evenly() -> None:
    clock = Clock()
    rate = RequestRate(20, clock)
    assert [rate.allows() for _ in range(22)] == [True] * 20 + [False] * 2
    clock.now += 0.05
    assert [rate.allows() for _ in range(2)] == [True, False]
    clock.now += 60
    assert sum(rate.allows() for _ in range(100)) == 20


async def refusal(source: GuardedSource) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await source.fetch("phone", "+8613800138000")
    assert refused.value.code is ErrorCode.UNAVAILABLE
    return refused.value


async def test_a_source_that_fails_is_asked_no_more_until_the_breaker_tries_it() -> None:
    clock, source = Clock(), Source(fails=True)
    guarded = GuardedSource(source, RequestRate(100, clock), CircuitBreaker(3, 10, clock))
    for _ in range(3):
        assert (await refusal(guarded)).retry_after == 1
    assert (await refusal(guarded)).retry_after == 10
    assert len(source.questions) == 3

    clock.now += 10
    source.fails = False
    assert await guarded.fetch("name", "ada") is None
    assert await guarded.fetch("name", "ada") is None
    assert source.questions[3:] == [("name", "ada")] * 2


async def test_after_a_try_that_is_cancelled_the_next_caller_tries() -> None:
    clock, source = Clock(), Source(fails=True)
    guarded = GuardedSource(source, RequestRate(100, clock), CircuitBreaker(1, 10, clock))
    await refusal(guarded)
    clock.now += 10
    source.waits = True
    trying = asyncio.create_task(guarded.fetch("phone", "+8613800138000"))
    await asyncio.sleep(0)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying

    source.waits = source.fails = False
    assert await guarded.fetch("phone", "+8613800138000") is None


async def test_beyond_the_rate_the_source_is_not_asked_and_the_breaker_does_not_count() -> None:
    clock, source = Clock(), Source()
    guarded = GuardedSource(source, RequestRate(2, clock), CircuitBreaker(1, 10, clock))
    for _ in range(2):
        await guarded.fetch("phone", "+8613800138000")
    await refusal(guarded)
    clock.now += 1
    await guarded.fetch("phone", "+8613800138000")
    assert len(source.questions) == 3


async def test_callers_of_one_key_share_a_job_and_the_next_one_starts_another() -> None:
    flights, may_end, started = SingleFlight[int](9), asyncio.Event(), 0

    async def job() -> int:
        nonlocal started
        started += 1
        await may_end.wait()
        return started

    callers = [asyncio.create_task(flights.run(b"key", job)) for _ in range(5)]
    other = asyncio.create_task(flights.run(b"other", job))
    while started < 2:
        await asyncio.sleep(0)
    may_end.set()
    assert await asyncio.gather(*callers) == [2] * 5
    assert await other == 2
    assert await flights.run(b"key", job) == 3


async def test_a_job_runs_on_when_its_caller_has_gone_and_its_failure_reaches_who_waits() -> None:
    flights, may_end = SingleFlight[int](9), asyncio.Event()

    async def job() -> int:
        await may_end.wait()
        raise ServiceError(ErrorCode.UNAVAILABLE)

    gone = asyncio.create_task(flights.run(b"key", job))
    waiting = asyncio.create_task(flights.run(b"key", job))
    await asyncio.sleep(0)
    gone.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    with pytest.raises(ServiceError):
        await waiting


async def test_too_many_jobs_are_refused_and_those_that_run_can_still_be_joined() -> None:
    flights, may_end = SingleFlight[int](2), asyncio.Event()

    async def job() -> int:
        await may_end.wait()
        return 1

    running = [asyncio.create_task(flights.run(key, job)) for key in (b"1", b"2", b"2")]
    await asyncio.sleep(0)
    with pytest.raises(ServiceError):
        await flights.run(b"3", job)
    may_end.set()
    assert await asyncio.gather(*running) == [1, 1, 1]


async def test_the_end_of_the_process_gives_jobs_up() -> None:
    flights = SingleFlight[int](2)
    forever = asyncio.create_task(flights.run(b"1", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await flights.close()
    with pytest.raises(asyncio.CancelledError):
        await forever
