"""sms-service for its tests: its rules on a real PostgreSQL, senders that remember, and time that can be moved."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from shared.errors import ServiceError
from shared.events.envelope import OutboxMessage, new_id
from shared.internal_api.sms import AskStatus, CheckCode, CodeChecked, CodeIssued, IssueCode, Language, Purpose, Status
from shared.keys import KeyRing, development_secret
from shared.migrations.upgrade import migrate
from shared.networks import NetworkKey, RequestSource
from shared.phone import E164, PhoneKeys
from shared.postgres import Pool, connection, pool
from shared.tickets import TicketCodec
from sms_service.callers.failure_budget import FailureBudget
from sms_service.callers.rate_limits import NoCallerLimits
from sms_service.delivery.delivery import Delivery
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.delivery.sender_pool import SenderPool
from sms_service.keys import Secrets
from sms_service.messages.templates import BUILT_IN, Texts
from sms_service.number_seal import NumberSeal
from sms_service.otp import CodeDeriver
from sms_service.send_command import MessageSeal
from sms_service.senders.port import Outcome, OutgoingMessage, Sender, SendResult
from sms_service.settings import SmsSettings, WorkerSettings
from sms_service.spending.gate import NO_SPENDING_LIMITS
from sms_service.verification.audit_recorder import AuditRecorder
from sms_service.verification.code_checker import CodeChecker
from sms_service.verification.code_issuer import CallerLimits, CodeIssuer, Relay
from sms_service.verification.limits import APP_FAILURES, NETWORK_FAILURES
from sms_service.verification.setup import SpendingGuard
from sms_service.verification.store import VerificationStore
from sms_service.verification.test_numbers import NO_TEST_NUMBERS, TestNumbers
from support.database import change_audit_rows

KEYS = KeyRing.parse("1:" + development_secret("code_keys"))
PHONES = PhoneKeys(bytes.fromhex(development_secret("phone_key")))
NETWORKS = NetworkKey(bytes.fromhex(development_secret("phone_key")))
SEAL = NumberSeal(KeyRing.parse("1:" + development_secret("phone_seal_keys")))
MESSAGES = MessageSeal(KeyRing.parse("1:" + development_secret("phone_seal_keys")))
TICKETS = TicketCodec(KeyRing.parse("1:" + development_secret("ticket_keys")))

AGE_NUMBER = """
    update number_activity set
        sends = array(select moment - $2::interval from unnest(sends) moment),
        withheld_sends = array(select moment - $2::interval from unnest(withheld_sends) moment),
        failures = array(select moment - $2::interval from unnest(failures) moment)
    where phone_ref = $1
"""
AGE_VERIFICATIONS = """
    update verifications set
        created_at = created_at - $2::interval,
        expires_at = expires_at - $2::interval,
        verified_at = verified_at - $2::interval
    where phone_ref = $1
"""
AGE_SENDS = """
    update messages set
        created_at = created_at - $2::interval,
        expires_at = expires_at - $2::interval,
        claimed_at = claimed_at - $2::interval
    where phone_ref = $1
"""
AGE_ATTEMPTS = "update attempts set started_at = started_at - $2::interval where phone_ref = $1"


def fresh_number() -> E164:
    """A number that no other test uses."""
    return E164(f"+8613{secrets.randbelow(10**9):09d}")


def asking(number: E164, purpose: Purpose = Purpose.SIGN_UP, **more: Any) -> IssueCode:
    """A request for a code, as the gateway makes it."""
    defaults = {"dialect": "maitian", "client": "test", "address": "2001:db8::1", "cooldown": 60, "daily_cap": 10}
    return IssueCode(phone=number, purpose=purpose, **(defaults | more))


def looking_up(number: E164, **more: Any) -> AskStatus:
    return AskStatus(phone=number, **({"address": "2001:db8::1", "cooldown": 60} | more))


def entering(number: E164 | None, code: str, purpose: Purpose = Purpose.SIGN_UP, **more: Any) -> CheckCode:
    return CheckCode(
        phone=number, code=code, purpose=purpose, **({"dialect": "maitian", "address": None, "app": "test"} | more)
    )


def wrong(code: str) -> str:
    """Six digits that are not the code."""
    return f"{(int(code) + 1) % 10**6:06d}"


async def refusal(call: Any) -> ServiceError:
    """The error that refuses a call."""
    try:
        await call
    except ServiceError as error:
        return error
    raise AssertionError("the call was not refused")


class CountingDeriver(CodeDeriver):
    """Counts how many codes were compared."""

    compared = 0

    def matches(self, text: str, key_id: int, verification_id: UUID, number: E164, purpose: Purpose) -> bool:
        self.compared += 1
        return super().matches(text, key_id, verification_id, number, purpose)

    def pretend(self, number: E164) -> None:
        super().pretend(number)
        self.compared -= 1


@dataclass
class Recorder:
    """A sender that keeps its messages and always returns, or raises, ``outcome``."""

    outcome: Outcome | Exception = Outcome.ACCEPTED
    name: str = "recorder"
    messages: list[OutgoingMessage] = field(default_factory=list)

    async def send(self, message: OutgoingMessage) -> SendResult:
        self.messages.append(message)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return SendResult(self.outcome)


def a_message(number: E164 | None = None, **more: Any) -> OutgoingMessage:
    """A message as senders receive it."""
    defaults = {
        "text": "【好码】验证码 314159",
        "code": "314159",
        "purpose": Purpose.SIGN_UP,
        "language": Language.CHINESE,
    }
    fields = {"message_id": new_id(), "remaining": timedelta(minutes=5)} | defaults | more
    return OutgoingMessage(to=number or fresh_number(), **fields)


class OnlySourceNetworks(NoCallerLimits):
    """Counts incorrect codes by network, and no sends, because that would need Redis."""

    def place(self, source: RequestSource) -> str | None:
        return source.place

    def source_network(self, source: RequestSource) -> str | None:
        return None if source.address is None else source.place

    def source_app(self, source: RequestSource) -> str | None:
        return source.app_name if source.app.startswith("app-") else None


@dataclass(frozen=True)
class CodeCalls:
    """The calls of the API about codes."""

    issuer: CodeIssuer
    checker: CodeChecker

    async def issue(self, request: IssueCode) -> CodeIssued:
        return await self.issuer.issue(request)

    async def status(self, request: AskStatus) -> Status:
        return await self.issuer.status(request)

    async def check(self, request: CheckCode) -> CodeChecked:
        return await self.checker.check(request)


class SilentRelay:
    """Leaves everything in the outbox."""

    def wake(self) -> None:
        """Publish nothing."""

    def hand_over(self, messages: Iterable[OutboxMessage]) -> None:
        """Publish nothing."""


@dataclass(frozen=True)
class Sms:
    """The rules of one process, over a database of the test's own."""

    database: str
    pool: Pool
    deriver: CountingDeriver

    def codes(
        self,
        callers: CallerLimits | None = None,
        test_numbers: TestNumbers = NO_TEST_NUMBERS,
        *,
        spending_guard: SpendingGuard = NO_SPENDING_LIMITS,
        reveal_codes: bool = True,
        master_code: str | None = None,
        failure_budget: FailureBudget | None = None,
        app_failures: int = APP_FAILURES,
        relay: Relay | None = None,
    ) -> CodeCalls:
        store = VerificationStore(self.pool, failure_budget or FailureBudget(NETWORK_FAILURES), app_failures)
        secrets = Secrets(self.deriver, PHONES, SEAL, MESSAGES, TICKETS, NETWORKS)
        limits, audit = callers or NoCallerLimits(), AuditRecorder(store, lambda: None)
        return CodeCalls(
            CodeIssuer(
                store,
                limits,
                secrets,
                audit,
                relay or SilentRelay(),
                test_numbers=test_numbers,
                spending_guard=spending_guard,
                reveal_codes=reveal_codes,
            ),
            CodeChecker(
                store,
                limits,
                secrets,
                audit,
                lambda: None,
                test_numbers=test_numbers,
                prefix_counting=spending_guard,
                master_code=master_code,
            ),
        )

    def delivery(self, sender_pool: Sender | SenderPool, texts: Texts = BUILT_IN) -> Delivery:
        if not isinstance(sender_pool, SenderPool):
            sender_pool = SenderPool.of_one(sender_pool)
        return Delivery(LedgerStore(self.pool), sender_pool, self.deriver, SEAL, SilentRelay().hand_over, texts=texts)

    async def age(self, number: E164, **past: float) -> None:
        """Let time pass for one number: all its times move into the past."""
        for statement in (AGE_NUMBER, AGE_VERIFICATIONS, AGE_SENDS, AGE_ATTEMPTS):
            await self.pool.execute(statement, PHONES.ref(number), timedelta(**past))

    async def change_audit_rows(self, statement: str, *arguments: object) -> None:
        """Run a statement that changes verification events, which only their owner can."""
        async with connection(self.pool) as conn:
            await change_audit_rows(conn, statement, *arguments)

    async def sends(self, number: E164) -> Sequence[asyncpg.Record]:
        """The ledger's rows of a number, oldest first."""
        return await self.pool.fetch(
            "select * from messages where phone_ref = $1 order by message_id", PHONES.ref(number)
        )

    async def attempts(self, number: E164) -> Sequence[asyncpg.Record]:
        """The attempts to reach a number, oldest first."""
        statement = "select * from attempts where phone_ref = $1 order by started_at, number"
        return await self.pool.fetch(statement, PHONES.ref(number))

    async def events(self, subject: str) -> list[dict[str, Any]]:
        """The events in the outbox that name a phone reference, a verification or a message. Oldest first."""
        bodies = await self.pool.fetch("select body from outbox where exchange = 'events.sms' order by id")
        found = [orjson.loads(row["body"]) for row in bodies]
        return [event for event in found if subject in event["data"].values()]


def worker_settings(settings: SmsSettings, inbox_url: str) -> WorkerSettings:
    """The settings of a worker beside an API that has the inbox."""
    shared = {name: getattr(settings, name) for name in WorkerSettings.model_fields.keys() & settings.model_fields_set}
    return WorkerSettings(**shared, inbox_url=inbox_url)


@asynccontextmanager
async def fresh_database(postgres_url: str) -> AsyncIterator[str]:
    """The name of a migrated database of the test's own."""
    name = f"sms_{secrets.token_hex(6)}"
    await asyncio.to_thread(migrate, postgres_url, name, "sms_service")
    try:
        yield name
    finally:
        session = await asyncpg.connect(postgres_url)
        await session.execute(f'drop database "{name}" with (force)')
        await session.close()


@asynccontextmanager
async def process(postgres_url: str, database: str) -> AsyncIterator[Sms]:
    """One process, with its own connections and deriver."""
    async with pool(postgres_url, database) as opened:
        yield Sms(database, opened, CountingDeriver(KEYS))


@asynccontextmanager
async def running(postgres_url: str) -> AsyncIterator[Sms]:
    """One process over a database of its own."""
    async with fresh_database(postgres_url) as database, process(postgres_url, database) as sms:
        yield sms
