"""A running auth-service for its tests: its internal API, as the gateway calls it, its tables and its events."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import orjson
from aiohttp.test_utils import TestServer

from auth_service.app import create_app
from auth_service.audit import Operator
from auth_service.settings import AuthSettings
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import EXCHANGE
from shared.internal_api.auth import (
    ERASE,
    LOG_IN_WITH_PASSWORD,
    REGISTER,
    RESET_PASSWORD,
    RESOLVE,
    Account,
    ChangePassword,
    Erase,
    LoggedIn,
    LogInWithCode,
    LogInWithPassword,
    Register,
    ResetPassword,
    Resolve,
)
from shared.internal_api.personal_data.account import ExportMe
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.migrations.upgrade import migrate
from shared.phone import E164, PhoneKeys
from shared.postgres import url_of
from shared.tickets import LIFETIME, Ticket, TicketCodec
from support.commands import run_command
from support.monitoring import with_monitoring
from support.patience import until_accepted
from support.principals import EveryPrincipal, every_principal, strong_secret

OPERATOR = Operator("test", "a test")
HOME = "2001:db8::1"
"""The address of requests that do not name one."""


def fresh_number() -> E164:
    """A number that no other test uses."""
    return E164(f"+8613{secrets.randbelow(10**9):09d}")


def fresh_secret() -> str:
    """A canonical password: 32 hex digits."""
    return secrets.token_hex(16)


def fresh_address() -> str:
    """An address in a /56 that no other test uses, in 2001:db8::/32, which is reserved for examples."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


def registration(ticket: str, secret: str | None, **more: Any) -> Register:
    """A request to register."""
    defaults = {"dialect": "maitian", "client": "test", "address": HOME}
    return Register(ticket=ticket, secret=secret, **defaults | more)


def password_reset(ticket: str, secret: str, **more: Any) -> ResetPassword:
    """A request to reset a password."""
    defaults = {"dialect": "tel", "client": "test", "address": HOME}
    return ResetPassword(ticket=ticket, secret=secret, **defaults | more)


def code_login(ticket: str, **more: Any) -> LogInWithCode:
    """A request to log in with a code."""
    return LogInWithCode(ticket=ticket, **{"dialect": "native", "client": "test", "address": HOME} | more)


def password_change(user: LoggedIn, current: str, secret: str, address: str | None = None) -> ChangePassword:
    """A request to change a password."""
    return ChangePassword(
        user_id=user.account.user_id,
        session_id=user.session_id,
        phone=user.account.phone,
        current=current,
        secret=secret,
        address=address or fresh_address(),
        dialect="native",
    )


def exporting(account: Account, **proof: Any) -> ExportMe:
    """A request for a copy of a user's data."""
    defaults = {"phone": account.phone, "address": fresh_address(), "dialect": "native", "client": "test"}
    return ExportMe(user_id=account.user_id, **defaults | proof)


@dataclass
class EventListener:
    """Receives every event that auth-service publishes."""

    events: list[dict[str, Any]] = field(default_factory=list)
    _received: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self._received:
            self.events.append(orjson.loads(message.body))
            self._received.notify_all()

    async def wait_for(self, count: int, matches: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The events that match, once there are ``count`` of them."""
        async with asyncio.timeout(30), self._received:
            await self._received.wait_for(lambda: sum(map(matches, self.events)) >= count)
        return list(filter(matches, self.events))

    async def of_user(self, user_id: int, count: int, kind: str = "") -> list[dict[str, Any]]:
        """The events of a user (of this type), once there are ``count`` of them.

        Without a type, events about log-ins are left out: they come some seconds later.
        """

        def matches(event: dict[str, Any]) -> bool:
            key = event["type"]
            wanted = key.startswith(kind) if kind else not key.startswith("auth.login.")
            return wanted and event["data"].get("user_id") == str(user_id)

        return await self.wait_for(count, matches)


@dataclass(frozen=True)
class Auth:
    """auth-service twice over one database. ``clients`` call the first one, which is at ``url``, and the second."""

    settings: AuthSettings
    url: str
    clients: tuple[EveryPrincipal, ...]
    database: "asyncpg.Pool[asyncpg.Record]"
    listener: EventListener

    @property
    def client(self) -> EveryPrincipal:
        return self.clients[0]

    @property
    def call(self) -> Any:
        return self.client.call

    @property
    def phones(self) -> PhoneKeys:
        return PhoneKeys(bytes.fromhex(self.settings.phone_key.get_secret_value()))

    def ticket(
        self,
        number: E164,
        purpose: Purpose = Purpose.SIGN_UP,
        *,
        verification_id: UUID | None = None,
        left: timedelta = LIFETIME,
        repeats_only: bool = False,
    ) -> str:
        """A ticket as sms-service makes it."""
        codec = TicketCodec(KeyRing.parse(self.settings.ticket_keys.get_secret_value()))
        issued_at = datetime.now(UTC) + left - LIFETIME
        return codec.seal(Ticket(verification_id or uuid4(), number, purpose, issued_at, repeats_only))

    def erasure(self, account: Account, **more: Any) -> Erase:
        """A request to erase an account, with a ticket of a code for it unless ``more`` has another proof."""
        proof = {} if "secret" in more else {"ticket": self.ticket(E164(account.phone), Purpose.ERASE)}
        defaults = {"phone": account.phone, "address": fresh_address(), "dialect": "native", "client": "test"}
        return Erase(user_id=account.user_id, **defaults | proof | more)

    async def erase(self, user_id: int) -> None:
        """Erase an account, with a ticket."""
        phone = await self.database.fetchval("select phone from accounts where user_id = $1", user_id)
        ticket = self.ticket(E164(phone), Purpose.ERASE)
        request = Erase(user_id=user_id, phone=phone, ticket=ticket, address=HOME, dialect="native", client="test")
        await self.client.call(ERASE, request)

    async def unseen(self, number: E164, days: float) -> None:
        """Let a user be away for so long: all that shows when they were here moves into the past."""
        statement = """
            update accounts set
                last_login_at = last_login_at - make_interval(secs => $2),
                last_used_at = last_used_at - make_interval(secs => $2)
            where phone = $1
        """
        await self.database.execute(statement, number, days * 86_400)

    async def register(self, number: E164, secret: str) -> LoggedIn:
        request = registration(self.ticket(number), secret)
        return await until_accepted(lambda: self.client.call(REGISTER, request))

    async def log_in(self, number: E164, secret: str, address: str | None = None) -> LoggedIn:
        """Log in, again when the machine is busy."""
        address = address or fresh_address()
        return await until_accepted(lambda: self.log_in_once(number, secret, address))

    async def log_in_once(self, number: E164, secret: str, address: str | None = None) -> LoggedIn:
        request = LogInWithPassword(
            phone=number, secret=secret, address=address or fresh_address(), dialect="maitian", client="test"
        )
        return await self.client.call(LOG_IN_WITH_PASSWORD, request)

    async def reset_password(self, number: E164, secret: str, address: str | None = None) -> LoggedIn:
        ticket = self.ticket(number, Purpose.RESET_PASSWORD)
        request = password_reset(ticket, secret, address=address or fresh_address())
        return await until_accepted(lambda: self.client.call(RESET_PASSWORD, request))

    async def session_of(self, token: str) -> UUID:
        """The session of a token. Raises ``UNAUTHENTICATED`` when it has ended."""
        session_id: UUID = (await self.call(RESOLVE, Resolve(token=token))).session_id
        return session_id

    async def has_ended(self, token: str) -> bool:
        """Whether the session of a token has ended."""
        return await refusal(self.session_of(token)) is ErrorCode.UNAUTHENTICATED

    async def actions(self, number: E164) -> list[str]:
        """The actions in the audit log about a number, oldest first."""
        rows = await self.database.fetch(
            "select action from audit_log where phone_ref = $1 order by at, id", self.phones.ref(number)
        )
        return [row["action"] for row in rows]

    async def networks(self, number: E164) -> list[tuple[str, str]]:
        """The actions in the audit log about a number, each with its network, oldest first."""
        rows = await self.database.fetch(
            "select action, network from audit_log where phone_ref = $1 order by at, id", self.phones.ref(number)
        )
        return [tuple(row) for row in rows]

    async def wait_for_locks(self, statements: int) -> None:
        """Wait until this many statements in the database wait for a lock."""
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(30):
            while await self.database.fetchval(waiting) < statements:
                await asyncio.sleep(0)


async def refusal(call: Awaitable[Any]) -> ErrorCode:
    """The error of a call that is refused."""
    try:
        await call
    except ServiceError as error:
        return error.code
    raise AssertionError("the call was not refused")


def command_environment(auth: Auth, **more: str) -> dict[str, str]:
    """The environment of a command, with RabbitMQ out of reach."""
    return {
        **os.environ,
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "error",
        "POSTGRES_URL": auth.settings.postgres_url,
        "AMQP_URL": "amqp://unknown:unknown@127.0.0.1:1/",
        "AUTH_DATABASE": auth.settings.auth_database,
        "PHONE_KEY": auth.settings.phone_key.get_secret_value(),
        "AUDIT_KEYS": auth.settings.audit_keys.get_secret_value(),
        **more,
    }


async def command(auth: Auth, *words: str, **more: str) -> tuple[int | None, str]:
    """``python -m auth_service`` with RabbitMQ out of reach: its exit status and its output."""
    ended = await run_command("auth_service", *words, environ=command_environment(auth, **more))
    return ended.status, ended.output + ended.errors


@asynccontextmanager
async def database(postgres_url: str) -> AsyncIterator[str]:
    """The name of a migrated database that only this test uses."""
    name = f"auth_{secrets.token_hex(6)}"
    await asyncio.to_thread(migrate, postgres_url, name, "auth_service")
    try:
        yield name
    finally:
        conn = await asyncpg.connect(postgres_url)
        await conn.execute(f'drop database "{name}" with (force)')
        await conn.close()


def settings_for(postgres_url: str, amqp_url: str, name: str, **more: Any) -> AuthSettings:
    operator = {"operator_to_auth_token": strong_secret("operator")}
    return AuthSettings(
        environment="development", postgres_url=postgres_url, amqp_url=amqp_url, auth_database=name, **operator | more
    )


@asynccontextmanager
async def serving(settings: AuthSettings) -> AsyncIterator[EveryPrincipal]:
    """A client of one more auth-service."""
    async with address_of(settings) as url, every_principal(url, settings.principal_tokens) as client:
        yield client


@asynccontextmanager
async def address_of(settings: AuthSettings) -> AsyncIterator[str]:
    """The address of one more auth-service."""
    async with TestServer(with_monitoring(create_app(settings))) as server:
        yield str(server.make_url("")).rstrip("/")


def token_of(settings: AuthSettings) -> str:
    """The token of the gateway."""
    return settings.gateway_to_auth_token.get_secret_value()


@asynccontextmanager
async def listening(amqp_url: str) -> AsyncIterator[EventListener]:
    """A listener to the events of auth-service."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind(exchange, "auth.#")
        listener = EventListener()
        await queue.consume(listener.receive, no_ack=True)
        yield listener


@asynccontextmanager
async def running(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    """auth-service twice over one database, with its tables and its events."""
    async with AsyncExitStack() as stack:
        name = await stack.enter_async_context(database(postgres_url))
        settings = settings_for(postgres_url, amqp_url, name)
        listener = await stack.enter_async_context(listening(amqp_url))
        urls = [await stack.enter_async_context(address_of(settings)) for _ in range(2)]
        clients = [await stack.enter_async_context(every_principal(url, settings.principal_tokens)) for url in urls]
        tables = await stack.enter_async_context(asyncpg.create_pool(url_of(postgres_url, name), min_size=1))
        yield Auth(settings, urls[0], tuple(clients), tables, listener)
