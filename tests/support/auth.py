"""auth-service as its tests see it: asked over HTTP as the gateway asks, with a look at its table and its events."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import orjson
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from auth_service.app import create_app
from auth_service.settings import AuthSettings
from shared.errors import ErrorCode, ServiceError
from shared.events import EXCHANGE
from shared.internal_api.auth import LOG_IN_WITH_PASSWORD, REGISTER, LoggedIn, LogInWithPassword, Register
from shared.internal_api.client import InternalClient, internal_client
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164, PhoneKeys
from shared.postgres import migrate, url_of
from shared.tickets import LIFETIME, Ticket, TicketCodec


def fresh_number() -> E164:
    """A number nobody else uses."""
    return E164(f"+8613{secrets.randbelow(10**9):09d}")


def fresh_secret() -> str:
    """A canonical password: 32 hex digits."""
    return secrets.token_hex(16)


def fresh_address() -> str:
    """An address in a network nobody else uses: 2001:db8::/32 is for examples, its /56 are ours."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


@dataclass
class Ear:
    """Hears every event that auth-service tells; ``until`` waits for enough of them about a subject."""

    events: list[dict[str, Any]] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with self._news:
            self.events.append(orjson.loads(message.body))
            self._news.notify_all()

    async def until(self, count: int, about: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: sum(map(about, self.events)) >= count)
        return list(filter(about, self.events))

    async def of_user(self, user_id: int, count: int) -> list[dict[str, Any]]:
        return await self.until(count, lambda heard: heard["data"].get("user_id") == str(user_id))


@dataclass(frozen=True)
class Auth:
    """One running auth-service. ``clients`` has two processes' worth of them, over one database; the first is at ``url``."""

    settings: AuthSettings
    url: str
    clients: tuple[InternalClient, ...]
    database: "asyncpg.Pool[asyncpg.Record]"
    ear: Ear

    @property
    def client(self) -> InternalClient:
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
    ) -> str:
        """A ticket as sms-service would give it."""
        booth = TicketCodec(KeyRing.parse(self.settings.ticket_keys.get_secret_value()))
        return booth.seal(Ticket(verification_id or uuid4(), number, purpose, datetime.now(UTC) + left))

    async def register(self, number: E164, secret: str) -> LoggedIn:
        question = Register(ticket=self.ticket(number), secret=secret, dialect="maitian", client="test")
        return await self.client.call(REGISTER, question)

    async def log_in(self, number: E164, secret: str, address: str | None = None) -> LoggedIn:
        question = LogInWithPassword(
            phone=number, secret=secret, address=address or fresh_address(), dialect="maitian", client="test"
        )
        return await self.client.call(LOG_IN_WITH_PASSWORD, question)

    async def actions(self, number: E164) -> list[str]:
        """What the audit says about a number, oldest first."""
        rows = await self.database.fetch(
            "select action from audit_log where phone_ref = $1 order by at, id", self.phones.ref(number)
        )
        return [row["action"] for row in rows]

    async def blocked(self, sessions: int) -> None:
        """Wait until so many of the database's sessions wait for a lock."""
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(30):
            while await self.database.fetchval(waiting) < sessions:
                await asyncio.sleep(0)


async def refusal(question: Any) -> ErrorCode:
    """The code with which a call is refused."""
    try:
        await question
    except ServiceError as error:
        return error.code
    raise AssertionError("it was not refused")


@asynccontextmanager
async def database(postgres_url: str) -> AsyncIterator[str]:
    """A migrated database of this test's own; gives its name."""
    name = f"auth_{secrets.token_hex(6)}"
    await asyncio.to_thread(migrate, postgres_url, name, "auth_service")
    try:
        yield name
    finally:
        session = await asyncpg.connect(postgres_url)
        await session.execute(f'drop database "{name}" with (force)')
        await session.close()


def settings_for(postgres_url: str, amqp_url: str, name: str, **more: Any) -> AuthSettings:
    return AuthSettings(
        environment="development", postgres_url=postgres_url, amqp_url=amqp_url, auth_database=name, **more
    )


@asynccontextmanager
async def serving(settings: AuthSettings) -> AsyncIterator[InternalClient]:
    """One process's worth of auth-service, as a peer to ask."""
    async with address_of(settings) as url, internal_client(url, token_of(settings)) as peer:
        yield peer


@asynccontextmanager
async def address_of(settings: AuthSettings) -> AsyncIterator[str]:
    """One process's worth of auth-service, by its address."""
    async with TestServer(create_app(settings)) as server:
        yield str(server.make_url("")).rstrip("/")


def token_of(settings: AuthSettings) -> str:
    token: SecretStr = settings.service_token
    return token.get_secret_value()


@asynccontextmanager
async def listening(amqp_url: str) -> AsyncIterator[Ear]:
    """An ear on auth-service's events."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind(exchange, "auth.#")
        ear = Ear()
        await queue.consume(ear.hear, no_ack=True)
        yield ear


@asynccontextmanager
async def running(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    """auth-service twice over one database, its tables and its events."""
    async with AsyncExitStack() as stack:
        name = await stack.enter_async_context(database(postgres_url))
        settings = settings_for(postgres_url, amqp_url, name)
        ear = await stack.enter_async_context(listening(amqp_url))
        urls = [await stack.enter_async_context(address_of(settings)) for _ in range(2)]
        clients = [await stack.enter_async_context(internal_client(url, token_of(settings))) for url in urls]
        tables = await stack.enter_async_context(asyncpg.create_pool(url_of(postgres_url, name), min_size=1))
        yield Auth(settings, urls[0], tuple(clients), tables, ear)
