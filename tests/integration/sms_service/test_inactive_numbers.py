"""A code for a number that must have had no activity: then no account can have been registered with it.

A code that gives a number to an account leaves activity for a day, also if its limits are lifted or its owner is erased.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from redis.asyncio import Redis
from support.sms import PHONES, CodeCalls, Sms, asking, entering, fresh_database, fresh_number, process, refusal

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.sms import CodeIssued, IssueCode, Purpose
from shared.networks import CallerNetworks, RequestSource
from shared.phone import E164
from shared.redis import client
from sms_service.callers.limits import DEFAULT_LIMITS
from sms_service.callers.rate_limits import CallerRateLimits, NoCallerLimits
from sms_service.erasure.store import ErasureStore
from sms_service.operators.activity_store import NumberActivityStore
from sms_service.recovery.store import RecoveryStore
from sms_service.retention import purge
from sms_service.retention_store import RetentionStore
from sms_service.spending.gate import NoSpendingLimits
from sms_service.spending.refusals import BlockedError
from sms_service.verification.store import VerificationStore
from sms_service.verification.test_numbers import TestNumber, TestNumbers

WRITTEN = """
    select (select count(*) from messages where phone_ref = $1) as messages,
        (select count(*) from verifications where phone_ref = $1) as verifications,
        (select count(*) from verification_events where phone_ref = $1) as events
"""


@pytest.fixture(scope="module")
async def processes(postgres_url: str) -> AsyncIterator[tuple[Sms, Sms]]:
    async with (
        fresh_database(postgres_url) as database,
        process(postgres_url, database) as one,
        process(postgres_url, database) as two,
    ):
        yield one, two


@pytest.fixture
def sms(processes: tuple[Sms, Sms]) -> Sms:
    return processes[0]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with client(redis_url) as redis:
        yield redis


async def assumed(codes: CodeCalls, request: IssueCode) -> CodeIssued | None:
    return await codes.issuer.issue_to_inactive(request)


async def written(sms: Sms, number: E164) -> Sequence[int]:
    """How many messages, verifications and verification events a number has."""
    row = await sms.pool.fetchrow(WRITTEN, PHONES.ref(number))
    assert row is not None
    return list(row)


async def test_a_number_without_activity_gets_a_code_that_works(sms: Sms) -> None:
    number, codes = fresh_number(), sms.codes()
    issued = await assumed(codes, asking(number))

    assert issued is not None
    assert issued.resend_after == 60
    assert (await codes.check(entering(number, issued.code))).ticket


Act = Callable[[Sms, CodeCalls, E164], Awaitable[object]]


async def verified(_: Sms, codes: CodeCalls, number: E164) -> None:
    issued = await codes.issue(asking(number))
    await codes.check(entering(number, issued.code))


async def unverified_for(purpose: Purpose, codes: CodeCalls, number: E164) -> None:
    await codes.issue(asking(number, purpose, registered=True))


async def verified_23_hours_ago(sms: Sms, codes: CodeCalls, number: E164) -> None:
    await verified(sms, codes, number)
    await sms.age(number, hours=23)
    await purge(RetentionStore(sms.pool))


async def verified_and_lifted(sms: Sms, codes: CodeCalls, number: E164) -> None:
    await verified(sms, codes, number)
    assert await NumberActivityStore(sms.pool).forget(PHONES.ref(number))
    await purge(RetentionStore(sms.pool))


async def verified_and_erased(sms: Sms, codes: CodeCalls, number: E164) -> None:
    await verified(sms, codes, number)
    await ErasureStore(sms.pool).forget(PHONES.ref(number), datetime.now(UTC) + timedelta(minutes=1))
    await purge(RetentionStore(sms.pool))


async def verified_and_restored(sms: Sms, codes: CodeCalls, number: E164) -> None:
    await verified(sms, codes, number)
    await RecoveryStore(sms.pool).end_codes()
    await purge(RetentionStore(sms.pool))


ACTS: dict[str, Act] = {
    "verified": verified,
    "verified 23 hours ago": verified_23_hours_ago,
    "verified, and its limits lifted": verified_and_lifted,
    "verified, and its account erased": verified_and_erased,
    "verified, and the database restored": verified_and_restored,
    **{
        f"asked for {purpose.value}": lambda _, codes, number, purpose=purpose: unverified_for(purpose, codes, number)
        for purpose in Purpose
    },
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("where", ["in this process", "in another process"])
async def test_a_number_with_activity_gets_nothing_and_nothing_is_written(
    processes: tuple[Sms, Sms], act: str, where: str
) -> None:
    sms, number = processes[0], fresh_number()
    codes = sms.codes()
    await assumed(codes, asking(fresh_number()))  # so that the process knows the time, and assumes what it has not read
    await ACTS[act](processes[1], codes if where == "in this process" else processes[1].codes(), number)
    before = await written(sms, number)

    assert await assumed(codes, asking(number)) is None

    assert await written(sms, number) == before


async def test_a_process_that_does_not_know_the_time_reads_the_activity(processes: tuple[Sms, Sms]) -> None:
    number = fresh_number()
    await processes[1].codes().issue(asking(number))
    assert await assumed(processes[0].codes(), asking(number)) is None
    assert await assumed(processes[0].codes(), asking(fresh_number())) is not None


async def test_a_number_is_inactive_again_a_day_after_its_last_code(sms: Sms) -> None:
    number = fresh_number()
    await sms.codes().issue(asking(number))
    await sms.age(number, hours=25)
    await purge(RetentionStore(sms.pool))
    assert await assumed(sms.codes(), asking(number)) is not None


async def test_of_two_requests_at_once_one_gets_a_code_and_the_other_is_asked_about(sms: Sms) -> None:
    number, codes = fresh_number(), sms.codes()
    issued = await asyncio.gather(*(assumed(codes, asking(number)) for _ in range(2)))
    assert sum(each is None for each in issued) == 1
    assert (await written(sms, number))[0] == 1


async def test_the_code_of_a_test_number_counts_as_activity_too(sms: Sms) -> None:
    number, day = fresh_number(), datetime.now(UTC).date() + timedelta(days=1)
    codes = sms.codes(test_numbers=TestNumbers([TestNumber(number, "424242", day)]))
    issued = await assumed(codes, asking(number))
    assert issued is not None
    assert issued.code == "424242"
    assert await assumed(codes, asking(number)) is None


async def charges(redis: Redis, source: RequestSource) -> dict[str, int]:
    """What Redis holds of a place: until when each limit is not full."""
    keys = [key async for key in redis.scan_iter(match=f"{{callers:{source.place}}}*")]
    return {str(key): int(await redis.get(key)) for key in keys}


@pytest.mark.parametrize("user_id", [None, 7_000], ids=["an address", "a user"])
async def test_a_request_that_came_to_nothing_is_not_charged(
    processes: tuple[Sms, Sms], redis: Redis, user_id: int | None
) -> None:
    address = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::7"
    number = fresh_number()
    request = asking(number, address=address, user_id=None if user_id is None else secrets.randbelow(2**40))
    codes = processes[0].codes(CallerRateLimits(redis))
    await codes.issue(request.model_copy(update={"phone": fresh_number()}))
    await processes[1].codes().issue(asking(number))
    before = await charges(redis, request.source)
    assert before

    assert await assumed(codes, request) is None

    assert await charges(redis, request.source) == before


class Full(NoCallerLimits):
    """Caller limits that refuse each send."""

    async def charge_send(self, *_: object) -> bool:
        raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=60)


class Blocked(NoSpendingLimits):
    """A spending limit that refuses all numbers."""

    def refuse_blocked(self, number: E164, *, is_known: bool = False) -> None:  # noqa: ARG002  the port names it
        raise BlockedError(600)


class NoSlots(NoSpendingLimits):
    """A spending limit that has no slot left for any number."""

    async def admit(self, number: E164) -> Sequence[str]:  # noqa: ARG002  the port names it
        raise BlockedError(600)


@pytest.mark.parametrize("limits", ["caller", "blocked prefix", "throttled prefix"])
async def test_a_refusal_stands_and_is_recorded_once_if_the_number_is_inactive_and_not_at_all_if_it_is_active(
    processes: tuple[Sms, Sms], limits: str
) -> None:
    sms = processes[0]
    guard = {"blocked prefix": Blocked(), "throttled prefix": NoSlots()}.get(limits, NoSpendingLimits())
    codes = sms.codes(Full() if limits == "caller" else None, spending_guard=guard)
    inactive, active = fresh_number(), fresh_number()
    await processes[1].codes().issue(asking(active))
    before = await written(sms, active)

    expected = ErrorCode.CALLER_LIMIT if limits == "caller" else ErrorCode.SENDING_PAUSED
    assert (
        await refusal(assumed(codes, asking(inactive, address=f"198.51.100.{secrets.randbelow(256)}")))
    ).code is expected
    assert await written(sms, inactive) == [0, 0, 1]
    assert await assumed(codes, asking(active)) is None
    assert await written(sms, active) == before


async def test_a_refusal_stands_if_the_activity_cannot_be_read(
    processes: tuple[Sms, Sms], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def state(*_: object) -> None:
        raise unavailable()

    codes, active = processes[0].codes(Full()), fresh_number()
    await processes[1].codes().issue(asking(active))
    monkeypatch.setattr(VerificationStore, "state", state)
    for number in (active, fresh_number()):
        assert (await refusal(assumed(codes, asking(number)))).code is ErrorCode.CALLER_LIMIT


class Slots(NoSpendingLimits):
    """Counts the slots that are in use."""

    in_use = 0

    async def admit(self, number: E164) -> Sequence[str]:
        self.in_use += 1
        return [number]

    async def give_back(self, slots: Sequence[str]) -> None:
        self.in_use -= len(slots)


async def test_a_request_that_came_to_nothing_keeps_no_slot(processes: tuple[Sms, Sms]) -> None:
    number, slots = fresh_number(), Slots()
    codes = processes[0].codes(spending_guard=slots)
    await assumed(codes, asking(fresh_number()))
    await processes[1].codes().issue(asking(number))
    assert slots.in_use == 1

    assert await assumed(codes, asking(number)) is None

    assert slots.in_use == 1


async def test_undoing_a_send_restores_every_limit_of_a_stranger(redis: Redis) -> None:
    callers = CallerRateLimits(redis, DEFAULT_LIMITS)
    source = RequestSource(ip_address(f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::7"))
    ref = PHONES.ref(fresh_number())
    await callers.charge_send(source, ref)
    once = await charges(redis, source)
    assert source.address is not None
    assert len(once) == 3 + (CallerNetworks.of(source.address).site != CallerNetworks.of(source.address).network)

    await callers.charge_send(source, ref)
    await callers.undo_send(source, ref)
    assert await charges(redis, source) == once
    await callers.undo_send(source, ref)
    assert await charges(redis, source) == {}
