"""What a repeated redemption may rest on: the secret of a moment ago, but only while the account is the same."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth_service.accounts.model import AuditEntry, ClientContext, NewSession, StoredAccount, TicketState
from auth_service.lifecycle.registration import Registration
from auth_service.passwords.hasher import Cost, PasswordHasher
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.tickets.verifier import TicketVerifier
from auth_service.tokens.access_tokens import utc_now
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, Register
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164, PhoneKeys
from shared.tickets import LIFETIME, Ticket, TicketCodec

NOW = datetime.now(UTC)
NUMBER = E164("+8613800138000")
OLD, NEW = "0" * 32, "1" * 32
KEYS = KeyRing.parse("1:" + "a1" * 32)


@dataclass
class World:
    """An account whose ticket is spent, the passwords, and what was written."""

    passwords: PasswordHasher
    held: StoredAccount
    verification_id: UUID = field(default_factory=uuid4)
    opened: list[NewSession] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    @property
    def accounts(self) -> Registration:
        return Registration(
            self,  # type: ignore[arg-type]  only what a repeat needs
            sessions=self,  # type: ignore[arg-type]
            audit=self,
            passwords=self.passwords,
            tickets=TicketVerifier(TicketCodec(KEYS), utc_now),
            phones=PhoneKeys(bytes(32)),
            nickname_prefix="",
        )

    def call(self, secret: str) -> Register:
        ticket = TicketCodec(KEYS).seal(
            Ticket(self.verification_id, NUMBER, Purpose.SIGN_UP, datetime.now(UTC) + LIFETIME)
        )
        return Register(ticket=ticket, secret=secret, dialect="maitian")

    async def ticket_state(self, *_: Any) -> TicketState:
        return TicketState(self.held.account.user_id, self.held)

    async def open(self, held: StoredAccount, session: NewSession, *_: Any) -> Account:
        self.opened.append(session)
        return held.account

    async def record(self, attempt: AuditEntry) -> None:
        self.noted.append(attempt.action)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """The account was registered with OLD and has NEW since: it is at version 2."""
    pool = HashingPool(1, 8)
    passwords = PasswordHasher(KEYS, pool, Cost(memory_kib=64, passes=1))
    account = Account(
        user_id=2**47, phone=NUMBER, nickname="", avatar="", thumbnail="", cover="",
        created_at=NOW, updated_at=NOW, last_login_at=NOW, version=2,
    )  # fmt: skip
    yield World(passwords, StoredAccount(account, await passwords.hash(NEW), NOW, ClientContext("maitian", "")))
    pool.close()


async def after_another(world: World, call: Register, *, with_secret: str, at_version: int) -> Any:
    """The call's outcome when it waited for another redemption of its ticket."""
    accounts = world.accounts
    async with accounts._turns.take(world.verification_id) as turn:
        waiting = asyncio.create_task(accounts.register(call))
        await asyncio.sleep(0)
        turn.proof, turn.version = world.passwords.proof(with_secret), at_version
    return await waiting


async def test_a_repeat_that_waited_needs_no_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.passwords, "verify", None)

    made = await after_another(world, world.call(NEW), with_secret=NEW, at_version=2)

    assert made.account.user_id == world.held.account.user_id
    assert [session.token for session in world.opened] == [made.token]


async def test_the_secret_of_a_moment_ago_is_worthless_once_the_password_was_changed(world: World) -> None:
    with pytest.raises(ServiceError) as refusal:
        await after_another(world, world.call(OLD), with_secret=OLD, at_version=1)

    assert refusal.value.code is ErrorCode.CODE_REFUSED
    assert world.opened == []
    assert world.noted == ["register.refused"]


async def test_a_loser_is_refused_without_a_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.passwords, "verify", None)

    with pytest.raises(ServiceError) as refusal:
        await after_another(world, world.call(OLD), with_secret=NEW, at_version=2)

    assert refusal.value.code is ErrorCode.CODE_REFUSED
