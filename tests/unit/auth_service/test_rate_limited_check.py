"""The rate-limited password check: what is counted, what is refused, and what is refunded."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from auth_service.accounts.model import StoredAccount
from auth_service.client_context import ClientContext
from auth_service.passwords.hasher import PasswordCheck
from auth_service.passwords.hashing_slots import HashingSlot
from auth_service.passwords.login_limits import LimitsAround, LoginLimits
from auth_service.passwords.model import Bucket, CountedFailure, RunningCheck, StartedCheck, VerifiedPassword
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.passwords.refusal_hold import HeldCheck, RefusalHold
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account
from shared.networks import RequestSource
from shared.phone import E164

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PHONE, SOURCE = E164("+8613800138000"), RequestSource(ip_address("203.0.113.7"))
NETWORK = 12
LIMITS = LoginLimits(10, 30, LimitsAround(100, 400, 1_000), 20, LimitsAround(600, 1_800, 6_000))
SLOT = HashingSlot(("site", "network", 1), 1.0)
COUNTED = (CountedFailure("network", timedelta(seconds=3)), CountedFailure("number", timedelta(seconds=90)))
ACCOUNT = StoredAccount(
    Account(
        user_id=2**47, phone=PHONE, nickname="", avatar="", thumbnail="", cover="",
        created_at=NOW, updated_at=NOW, last_login_at=NOW, version=1,
    ),
    "stored hash", NOW, NOW, ClientContext("native", ""),
)  # fmt: skip


@dataclass
class Counters:
    """A repository that remembers what was counted and what was refunded."""

    check: StartedCheck
    started: list[tuple[E164, tuple[Bucket, ...], int | None]] = field(default_factory=list)
    refunded: list[CountedFailure] = field(default_factory=list)

    async def start(self, phone: E164, buckets: Sequence[Bucket], known_network: int | None) -> StartedCheck:
        self.started.append((phone, tuple(buckets), known_network))
        return self.check

    async def refund(self, counted: Sequence[CountedFailure]) -> None:
        self.refunded.extend(counted)


@dataclass
class Passwords:
    """A hasher that gives one result, or is too busy."""

    result: PasswordCheck | ServiceError
    verified: list[tuple[HashingSlot, str | None, str]] = field(default_factory=list)
    plain: list[str | None] = field(default_factory=list)
    slots: list[tuple[RequestSource, int]] = field(default_factory=list)
    has_room: bool = True

    @asynccontextmanager
    async def slot(self, source: RequestSource, phone_ref: int) -> AsyncIterator[HashingSlot]:
        if not self.has_room:
            raise ServiceError(ErrorCode.UNAVAILABLE, retry_after=3)
        self.slots.append((source, phone_ref))
        yield SLOT

    async def verify(
        self, slot: HashingSlot, password_hash: str | None, secret: str, plain: str | None = None
    ) -> PasswordCheck:
        self.plain.append(plain)
        self.verified.append((slot, password_hash, secret))
        if isinstance(self.result, ServiceError):
            raise self.result
        return self.result


STARTED = StartedCheck(ACCOUNT, counted=COUNTED)
RIGHT, WRONG = PasswordCheck(matches=True), PasswordCheck(matches=False)


def scene(
    result: PasswordCheck | ServiceError, started: StartedCheck = STARTED
) -> tuple[RateLimitedCheck, Counters, Passwords]:
    counters, passwords = Counters(started), Passwords(result)
    return RateLimitedCheck(counters, passwords, LIMITS), counters, passwords  # type: ignore[arg-type]


async def verified(check: RateLimitedCheck) -> VerifiedPassword:
    async with check.start(PHONE, 7, SOURCE, NETWORK) as running:
        return await check.verify(running, "secret")


async def refused(check: RateLimitedCheck) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await verified(check)
    return refusal.value


async def test_an_attempt_has_a_slot_and_is_counted_in_every_bucket_before_the_password_is_compared() -> None:
    check, counters, passwords = scene(RIGHT)

    async with check.start(PHONE, 7, SOURCE, NETWORK) as running:
        assert running == RunningCheck(STARTED, SLOT, LIMITS.success_buckets(7, SOURCE, is_known=False))

    assert passwords.slots == [(SOURCE, 7)]
    assert counters.started == [(PHONE, LIMITS.failure_buckets(7, SOURCE), NETWORK)]
    assert passwords.verified == []


async def test_a_known_network_does_not_count_what_succeeds_there() -> None:
    check, _, _ = scene(RIGHT, replace(STARTED, is_known=True))

    async with check.start(PHONE, 7, SOURCE, NETWORK) as running:
        assert running.success_buckets == LIMITS.success_buckets(7, SOURCE, is_known=True)


async def test_without_limits_nothing_is_counted() -> None:
    _, counters, passwords = scene(RIGHT)
    check = RateLimitedCheck(counters, passwords, None)  # type: ignore[arg-type]

    async with check.start(PHONE, 7, SOURCE) as running:
        assert running.success_buckets == ()

    assert counters.started == [(PHONE, (), None)]


async def test_a_correct_password_gives_the_account_and_the_hash_that_replaces_an_old_one() -> None:
    check, counters, passwords = scene(PasswordCheck(matches=True, new_hash="new hash"))

    assert await verified(check) == VerifiedPassword(ACCOUNT, "new hash")

    assert passwords.verified == [(SLOT, "stored hash", "secret")]
    assert counters.refunded == []  # the caller refunds it, in the transaction of what the password was for


async def test_a_refund_is_of_every_failure_that_the_check_counted() -> None:
    check, counters, _ = scene(RIGHT)

    await check.refund(RunningCheck(STARTED, SLOT))

    assert counters.refunded == list(COUNTED)


async def test_a_wrong_password_is_refused_and_stays_counted() -> None:
    check, counters, _ = scene(WRONG)

    assert (await refused(check)).code is ErrorCode.CREDENTIALS_REFUSED
    assert counters.refunded == []


async def test_a_number_without_an_account_is_refused_alike_after_the_same_work() -> None:
    for result in (WRONG, RIGHT):
        check, counters, passwords = scene(result, replace(STARTED, account=None))

        assert (await refused(check)).code is ErrorCode.CREDENTIALS_REFUSED
        assert passwords.verified == [(SLOT, None, "secret")]
        assert counters.refunded == []


async def test_a_full_narrow_bucket_refuses_without_comparing_and_says_when_to_retry() -> None:
    check, _, passwords = scene(RIGHT, StartedCheck(ACCOUNT, retry_after=1, known_only=9, is_known=True))

    refusal = await refused(check)

    assert (refusal.code, refusal.retry_after) == (ErrorCode.CALLER_LIMIT, 1)
    assert passwords.verified == []


@pytest.mark.parametrize("account", [ACCOUNT, None])
@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("result", [RIGHT, WRONG])
async def test_a_full_wide_bucket_passes_a_correct_password_from_a_known_network_and_refuses_all_others_alike(
    account: StoredAccount | None, is_known: bool, result: PasswordCheck
) -> None:
    started = StartedCheck(account, known_only=9, is_known=is_known, counted=COUNTED)
    check, counters, passwords = scene(result, started)

    if account and is_known and result.matches:
        assert await verified(check) == VerifiedPassword(ACCOUNT)
    else:
        refusal = await refused(check)
        assert (refusal.code, refusal.retry_after) == (ErrorCode.CALLER_LIMIT, 9)
    assert len(passwords.verified) == 1
    assert counters.refunded == []


async def test_a_check_that_is_shed_is_refunded() -> None:
    check, counters, _ = scene(ServiceError(ErrorCode.UNAVAILABLE, retry_after=3))

    assert (await refused(check)).code is ErrorCode.UNAVAILABLE
    assert counters.refunded == list(COUNTED)


@pytest.mark.parametrize(
    ("code", "refunded"),
    [(ErrorCode.ACCOUNT_BANNED, COUNTED), (ErrorCode.UNAVAILABLE, COUNTED), (ErrorCode.CALLER_LIMIT, ())],
)
async def test_an_error_after_a_correct_password_is_refunded_unless_it_is_a_limit(
    code: ErrorCode, refunded: Sequence[CountedFailure]
) -> None:
    check, counters, _ = scene(RIGHT)

    with pytest.raises(ServiceError) as refusal:
        async with check.refund_on_error(RunningCheck(STARTED, SLOT)):
            raise ServiceError(code)

    assert refusal.value.code is code
    assert counters.refunded == list(refunded)


async def test_without_an_error_nothing_is_refunded() -> None:
    check, counters, _ = scene(RIGHT)

    async with check.refund_on_error(RunningCheck(STARTED, SLOT)):
        pass

    assert counters.refunded == []


async def test_an_attempt_while_hashing_is_full_is_refused_before_anything_is_counted() -> None:
    check, counters, passwords = scene(RIGHT)
    passwords.has_room = False

    refusal = await refused(check)

    assert (refusal.code, refusal.retry_after) == (ErrorCode.UNAVAILABLE, 3)
    assert counters.started == []


async def test_the_plain_text_is_compared_too_if_the_client_sent_it() -> None:
    check, _, passwords = scene(RIGHT)
    async with check.start(PHONE, 7, SOURCE, NETWORK) as running:
        await check.verify(running, "secret", "plain")
    assert passwords.plain == ["plain"]


async def test_a_refusal_is_held_after_its_slot_was_given_back() -> None:
    order: list[str] = []

    class Hold(RefusalHold):
        @asynccontextmanager
        async def holding(self) -> AsyncIterator[HeldCheck]:
            held_check = HeldCheck()
            try:
                yield held_check
            except ServiceError:
                order.append("held")
                assert held_check.slot is SLOT
                raise

    class Slots(Passwords):
        @asynccontextmanager
        async def slot(self, *of: object) -> AsyncIterator[HashingSlot]:
            assert of == (SOURCE, 7)
            try:
                yield SLOT
            finally:
                order.append("given back")

    check = RateLimitedCheck(Counters(STARTED), Slots(WRONG), LIMITS, Hold(0))  # type: ignore[arg-type]
    assert (await refused(check)).code is ErrorCode.CREDENTIALS_REFUSED
    assert order == ["given back", "held"]
