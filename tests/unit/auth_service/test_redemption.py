"""Redemption of tickets: when a repeat succeeds without hashing, and when it is refused."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry
from auth_service.client_context import ClientContext, ClientContexts
from auth_service.clock import utc_now
from auth_service.lifecycle.redemption import UNREAD, TicketRedemption, TicketState
from auth_service.passwords.hasher import Cost, PasswordHasher
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.hashing_slots import HashingSlot
from auth_service.passwords.model import CountedFailure, StartedCheck
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.retirement.model import ConflictError
from auth_service.sessions.model import NewSession
from auth_service.sessions.session_opener import SessionOpener
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, LoggedIn, Register
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.networks import NetworkKey
from shared.phone import E164, PhoneKeys
from shared.tickets import Ticket, TicketCodec

NOW = datetime.now(UTC)
NUMBER = E164("+8613800138000")
OLD, NEW = "0" * 32, "1" * 32
KEYS = KeyRing.parse("1:" + "a1" * 32)


@dataclass
class World:
    """An account whose ticket is spent, and everything that a redemption needs."""

    passwords: PasswordHasher
    account: StoredAccount
    verification_id: UUID = field(default_factory=uuid4)
    spent: bool = True
    spent_at: datetime = NOW
    freed_at: datetime | None = None
    repeats_only: bool = False
    repeats_left: int = 0
    retry_after: int = 0
    refunded: list[CountedFailure] = field(default_factory=list)
    opened: list[NewSession] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)

    @property
    def redemption(self) -> TicketRedemption:
        return TicketRedemption(
            self,
            opener=SessionOpener(self),
            audit=self,
            passwords=self.passwords,
            password_check=RateLimitedCheck(self, self.passwords, None),
            tickets=TicketVerifier(TicketCodec(KEYS), utc_now),
            phones=PhoneKeys(bytes(32)),
            contexts=ClientContexts(NetworkKey(bytes(32))),
        )

    def request(self, secret: str | None, **more: Any) -> Register:
        ticket = Ticket(self.verification_id, NUMBER, Purpose.SIGN_UP, datetime.now(UTC), self.repeats_only)
        fields = {"address": "203.0.113.7", "dialect": "maitian", **more}
        return Register(ticket=TicketCodec(KEYS).seal(ticket), secret=secret, **fields)

    async def ticket_state(self, *_: Any) -> TicketState:
        spent_by, spent_at = (self.account.user_id, self.spent_at) if self.spent else (None, None)
        return TicketState(spent_by, self.account, spent_at=spent_at, freed_at=self.freed_at)

    async def start(self, *_: Any) -> StartedCheck:
        return StartedCheck(self.account, self.retry_after, counted=[CountedFailure("number", timedelta(seconds=90))])

    async def refund(self, counted: Sequence[CountedFailure]) -> None:
        self.refunded.extend(counted)

    async def count_repeat(self, *_: Any) -> bool:
        self.repeats_left -= 1
        return self.repeats_left >= 0

    async def open(self, account: StoredAccount, session: NewSession, *_: Any, **__: Any) -> Account:
        self.opened.append(session)
        return account.account

    async def record_unproven(self, entry: AuditEntry) -> None:
        self.actions.append(entry.action)

    async def record(self, entry: AuditEntry) -> None:
        self.actions.append(entry.action)


async def unexpected(_: Ticket, state: TicketState) -> LoggedIn:
    """The statement that adds an account finds that the ticket is spent, if the state was not read before."""
    if state is UNREAD:
        raise ConflictError
    pytest.fail("a spent ticket was redeemed again")


async def refused(world: World, request: Register, redemption: TicketRedemption | None = None) -> ErrorCode:
    with pytest.raises(ServiceError) as refusal:
        await (redemption or world.redemption).redeem(request, Purpose.SIGN_UP, unexpected)
    return refusal.value.code


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """The account was registered with OLD and has had NEW since: it is at version 2."""
    pool = HashingPool(1, 8)
    passwords = PasswordHasher(KEYS, pool, Cost(memory_kib=64, passes=1))
    account = Account(
        user_id=2**47, phone=NUMBER, nickname="", avatar="", thumbnail="", cover="",
        created_at=NOW, updated_at=NOW, last_login_at=NOW, version=2,
    )  # fmt: skip
    context = ClientContext("maitian", "")
    yield World(
        passwords,
        StoredAccount(
            account, await passwords.hash(HashingSlot(("site", "network", 1), float("inf")), NEW), NOW, NOW, context
        ),
    )
    pool.close()


async def after_another(world: World, request: Register, *, with_secret: str, at_version: int) -> LoggedIn:
    """The outcome of a request that waited for another redemption of its ticket."""
    redemption = world.redemption
    async with redemption._locks.locked(world.verification_id) as lock:
        waiting = asyncio.create_task(redemption.redeem(request, Purpose.SIGN_UP, unexpected))
        await asyncio.sleep(0)
        lock.secret_digest, lock.version = world.passwords.digest(with_secret), at_version
    return await waiting


async def test_a_repeat_that_waited_needs_no_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.passwords, "verify", None)

    registered = await after_another(world, world.request(NEW), with_secret=NEW, at_version=2)

    assert registered.account.user_id == world.account.user_id
    assert [session.token for session in world.opened] == [registered.token]


async def test_a_remembered_secret_is_not_accepted_after_the_password_changed(world: World) -> None:
    with pytest.raises(ServiceError) as refusal:
        await after_another(world, world.request(OLD), with_secret=OLD, at_version=1)

    assert refusal.value.code is ErrorCode.CODE_REFUSED
    assert world.opened == []
    assert world.actions == ["register.refused"]


async def test_a_remembered_secret_of_an_earlier_version_is_checked_again(world: World) -> None:
    registered = await after_another(world, world.request(NEW), with_secret=NEW, at_version=1)

    assert registered.account.user_id == world.account.user_id


async def test_the_loser_of_a_race_is_refused_without_a_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.passwords, "verify", None)

    with pytest.raises(ServiceError) as refusal:
        await after_another(world, world.request(OLD), with_secret=NEW, at_version=2)

    assert refusal.value.code is ErrorCode.CODE_REFUSED


async def test_a_repeat_succeeds_with_the_same_secret_only(world: World) -> None:
    assert (await world.redemption.redeem(world.request(NEW), Purpose.SIGN_UP, unexpected)).account.version == 2

    assert await refused(world, world.request(OLD)) is ErrorCode.CODE_REFUSED
    assert await refused(world, world.request(NEW, name="Eric")) is ErrorCode.CODE_REFUSED
    assert await refused(world, world.request(NEW, phone="+8613800138001")) is ErrorCode.CODE_REFUSED
    assert len(world.opened) == 1
    assert world.actions == ["register.refused"] * 3


async def test_only_a_repeat_with_the_right_secret_is_refunded_as_a_log_in(world: World) -> None:
    await refused(world, world.request(OLD))
    assert world.refunded == []

    await world.redemption.redeem(world.request(NEW), Purpose.SIGN_UP, unexpected)
    assert [failure.bucket for failure in world.refunded] == ["number"]


async def test_a_repeat_beyond_the_limits_on_log_ins_is_refused_without_a_hash(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.retry_after = 90
    monkeypatch.setattr(world.passwords, "verify", None)

    assert await refused(world, world.request(NEW)) is ErrorCode.CODE_REFUSED


async def test_a_redemption_that_keeps_losing_races_is_refused_as_busy(world: World) -> None:
    world.spent = False
    attempts = []

    async def contended(*_: Any) -> LoggedIn:
        attempts.append(1)
        raise ConflictError

    with pytest.raises(ServiceError) as refusal:
        await world.redemption.redeem(world.request(NEW), Purpose.SIGN_UP, contended)

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert len(attempts) == 2
    assert world.actions == []


async def test_a_repeat_is_refused_after_something_has_ended_the_tickets_of_the_account(world: World) -> None:
    world.account = replace(world.account, tickets_valid_from=NOW + timedelta(microseconds=1))

    assert await refused(world, world.request(NEW)) is ErrorCode.CODE_REFUSED
    assert world.opened == []


@pytest.mark.parametrize("dead", ["repeats only", "number freed"])
async def test_a_ticket_redeems_nothing_that_only_repeats_or_was_made_before_the_number_was_freed(
    world: World, dead: str
) -> None:
    world.spent = False
    world.repeats_only = dead == "repeats only"
    world.freed_at = datetime.now(UTC) + timedelta(minutes=1) if dead == "number freed" else None

    assert await refused(world, world.request(NEW)) is ErrorCode.CODE_REFUSED


async def test_a_ticket_that_only_repeats_repeats_a_success_with_the_same_secret(world: World) -> None:
    world.repeats_only = True

    assert await world.redemption.redeem(world.request(NEW), Purpose.SIGN_UP, unexpected)
    assert await refused(world, world.request(OLD)) is ErrorCode.CODE_REFUSED


async def test_a_request_without_a_secret_is_repeated_only_as_often_as_the_repository_counts(world: World) -> None:
    world.account = replace(world.account, password_hash=None)
    world.repeats_left = 2
    redemption = world.redemption

    for _ in range(2):
        assert await redemption.redeem(world.request(None), Purpose.SIGN_UP, unexpected)
    assert await refused(world, world.request(None), redemption) is ErrorCode.CODE_REFUSED

    world.repeats_left, world.repeats_only = 1, True
    assert await refused(world, world.request(None), redemption) is ErrorCode.CODE_REFUSED


@pytest.mark.parametrize("spelling", ["008613800138000", "+86 13800138000", "138-0013-8000", " 13800138000"])
async def test_a_password_that_is_the_number_in_any_spelling_is_refused(world: World, spelling: str) -> None:
    secret = hashlib.md5(spelling.encode()).hexdigest()
    assert await refused(world, world.request(secret, plain=spelling)) is ErrorCode.PASSWORD_LENGTH
