"""The rate-limited password check: what is counted, what is refused, and what is refunded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from auth_service.accounts.model import StoredAccount
from auth_service.client_context import ClientContext
from auth_service.passwords.failure_limits import FailureLimits
from auth_service.passwords.hasher import PasswordCheck
from auth_service.passwords.model import Bucket, CountedFailure, StartedCheck, VerifiedPassword
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account
from shared.networks import RequestSource
from shared.phone import E164

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PHONE, SOURCE = E164("+8613800138000"), RequestSource(ip_address("203.0.113.7"))
LIMITS = FailureLimits(10, 100, 400, 1_000)
COUNTED = (CountedFailure("network", NOW), CountedFailure("number", NOW))
ACCOUNT = StoredAccount(
    Account(
        user_id=2**47, phone=PHONE, nickname="", avatar="", thumbnail="", cover="",
        created_at=NOW, updated_at=NOW, last_login_at=NOW, version=1,
    ),
    "stored hash", NOW, NOW, ClientContext("native", ""),
)  # fmt: skip


@dataclass
class FailureCounters:
    """A repository that remembers what was counted and what was refunded."""

    check: StartedCheck
    started: list[tuple[E164, tuple[Bucket, ...]]] = field(default_factory=list)
    refunded: list[CountedFailure] = field(default_factory=list)

    async def start(self, phone: E164, buckets: Sequence[Bucket]) -> StartedCheck:
        self.started.append((phone, tuple(buckets)))
        return self.check

    async def refund(self, counted: Sequence[CountedFailure]) -> None:
        self.refunded.extend(counted)


@dataclass
class Passwords:
    """A hasher that gives one result, or is too busy."""

    result: PasswordCheck | ServiceError
    verified: list[tuple[str | None, str]] = field(default_factory=list)
    has_room: bool = True

    def require_room(self) -> None:
        if not self.has_room:
            raise ServiceError(ErrorCode.UNAVAILABLE, retry_after=3)

    async def verify(self, password_hash: str | None, secret: str) -> PasswordCheck:
        self.verified.append((password_hash, secret))
        if isinstance(self.result, ServiceError):
            raise self.result
        return self.result


def scene(
    result: PasswordCheck | ServiceError, account: StoredAccount | None = ACCOUNT, retry_after: int = 0
) -> tuple[RateLimitedCheck, FailureCounters, Passwords]:
    counters = FailureCounters(StartedCheck(retry_after, account, () if retry_after else COUNTED))
    passwords = Passwords(result)
    return RateLimitedCheck(counters, passwords, LIMITS), counters, passwords  # type: ignore[arg-type]


async def refused(check: RateLimitedCheck, counters: FailureCounters) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await check.verify(counters.check, "secret")
    return refusal.value


async def test_an_attempt_is_counted_in_every_bucket_before_the_password_is_compared() -> None:
    check, counters, passwords = scene(PasswordCheck(matches=True))

    assert await check.start(PHONE, 7, SOURCE) is counters.check

    assert counters.started == [(PHONE, LIMITS.buckets(7, SOURCE))]
    assert passwords.verified == []


async def test_without_limits_nothing_is_counted() -> None:
    _, counters, passwords = scene(PasswordCheck(matches=True))
    check = RateLimitedCheck(counters, passwords, None)  # type: ignore[arg-type]

    await check.start(PHONE, 7, SOURCE)

    assert counters.started == [(PHONE, ())]


async def test_a_correct_password_gives_the_account_and_the_hash_that_replaces_an_old_one() -> None:
    check, counters, passwords = scene(PasswordCheck(matches=True, new_hash="new hash"))

    assert await check.verify(counters.check, "secret") == VerifiedPassword(ACCOUNT, "new hash")

    assert passwords.verified == [("stored hash", "secret")]
    assert counters.refunded == []  # the caller refunds it, in the transaction of what the password was for


async def test_a_refund_is_of_every_failure_that_the_check_counted() -> None:
    check, counters, _ = scene(PasswordCheck(matches=True))

    await check.refund(counters.check)

    assert counters.refunded == list(COUNTED)


async def test_a_wrong_password_is_refused_and_stays_counted() -> None:
    check, counters, _ = scene(PasswordCheck(matches=False))

    assert (await refused(check, counters)).code is ErrorCode.CREDENTIALS_REFUSED
    assert counters.refunded == []


async def test_a_number_without_an_account_is_refused_alike_after_the_same_work() -> None:
    for matches in (False, True):
        check, counters, passwords = scene(PasswordCheck(matches=matches), account=None)

        assert (await refused(check, counters)).code is ErrorCode.CREDENTIALS_REFUSED
        assert passwords.verified == [(None, "secret")]
        assert counters.refunded == []


async def test_a_full_bucket_refuses_without_comparing_and_says_when_to_retry() -> None:
    check, counters, passwords = scene(PasswordCheck(matches=True), retry_after=1)

    refusal = await refused(check, counters)

    assert (refusal.code, refusal.retry_after) == (ErrorCode.CALLER_LIMIT, 1)
    assert passwords.verified == []


async def test_a_check_that_is_shed_is_refunded() -> None:
    check, counters, _ = scene(ServiceError(ErrorCode.UNAVAILABLE, retry_after=3))

    assert (await refused(check, counters)).code is ErrorCode.UNAVAILABLE
    assert counters.refunded == list(COUNTED)


async def test_an_error_after_a_correct_password_is_refunded_and_raised() -> None:
    check, counters, _ = scene(PasswordCheck(matches=True))

    with pytest.raises(ServiceError) as refusal:
        async with check.refund_on_error(counters.check):
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)

    assert refusal.value.code is ErrorCode.ACCOUNT_BANNED
    assert counters.refunded == list(COUNTED)


async def test_without_an_error_nothing_is_refunded() -> None:
    check, counters, _ = scene(PasswordCheck(matches=True))

    async with check.refund_on_error(counters.check):
        pass

    assert counters.refunded == []


async def test_an_attempt_while_hashing_is_full_is_refused_before_anything_is_counted() -> None:
    check, counters, passwords = scene(PasswordCheck(matches=True))
    passwords.has_room = False

    with pytest.raises(ServiceError) as refusal:
        await check.start(PHONE, 7, SOURCE)

    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.UNAVAILABLE, 3)
    assert counters.started == []
