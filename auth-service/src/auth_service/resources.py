"""The resources that the rooms share: the database, the outbox relay, the hashing threads, and the keys."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass

from auth_service.accounts.dormancy import Dormancy
from auth_service.audit_store import AuditStore
from auth_service.changes.limit_store import ChangeLimit
from auth_service.client_context import ClientContexts
from auth_service.clock import utc_now
from auth_service.passwords.cpus import available_cpus
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.login_limit_store import LoginLimitStore
from auth_service.passwords.login_limits import LimitsAround, LoginLimits
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.passwords.refusal_hold import RefusalHold
from auth_service.settings import AuthSettings
from auth_service.tickets.verifier import TicketVerifier
from shared import amqp, postgres
from shared.keys import KeyRing
from shared.networks import NetworkKey
from shared.outbox import Relay
from shared.phone import PhoneKeys
from shared.tickets import TicketCodec


@dataclass(frozen=True)
class Resources:
    """Built once per process. ``wake`` tells the relay that there are messages in the outbox."""

    pool: postgres.Pool
    wake: Callable[[], None]
    audit: AuditStore
    phones: PhoneKeys
    contexts: ClientContexts
    tickets: TicketVerifier
    passwords: PasswordHasher
    password_check: RateLimitedCheck
    change_limit: ChangeLimit
    dormancy: Dormancy
    ping_broker: Callable[[], Awaitable[None]]

    async def ping(self) -> None:
        """For readiness: the service works while PostgreSQL answers."""
        await postgres.ping(self.pool)


@asynccontextmanager
async def open_resources(settings: AuthSettings) -> AsyncIterator[Resources]:
    """Reach PostgreSQL and RabbitMQ, relay the outbox and start the hashing threads, until the block ends."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            postgres.pool(
                settings.postgres_url,
                settings.auth_database,
                size=settings.postgres_connections,
                restricted=settings.is_production,
                package="auth_service",
            )
        )
        bus = await stack.enter_async_context(amqp.connect(settings.amqp_url, "auth-service publisher"))
        relay = Relay(pool, await amqp.Publisher.open(bus, "auth"))
        await stack.enter_async_context(relay.running())
        hashing = stack.enter_context(closing(hashing_pool(settings)))
        passwords = PasswordHasher(KeyRing.parse(settings.password_peppers.get_secret_value()), hashing)
        phone_key = bytes.fromhex(settings.phone_key.get_secret_value())
        yield Resources(
            pool=pool,
            wake=relay.wake,
            audit=AuditStore(pool),
            phones=PhoneKeys(phone_key),
            contexts=ClientContexts(NetworkKey(phone_key)),
            tickets=TicketVerifier(TicketCodec(KeyRing.parse(settings.ticket_keys.get_secret_value())), utc_now),
            passwords=passwords,
            password_check=RateLimitedCheck(
                LoginLimitStore(pool),
                passwords,
                login_limits(settings),
                RefusalHold(settings.password_refusal_seconds),
            ),
            change_limit=ChangeLimit(pool, settings.changes_per_user_hour),
            dormancy=Dormancy(settings.dormant_after, utc_now),
            ping_broker=bus.ping,
        )


def hashing_pool(settings: AuthSettings) -> HashingPool:
    """The hashing threads. Where refusals are held until a fixed time, no result waits for others."""
    threads, queue = settings.password_hash_threads or available_cpus(), settings.password_hash_queue
    if settings.password_refusal_seconds:
        return HashingPool(threads, queue, max_together=1)
    return HashingPool(threads, queue)


def login_limits(settings: AuthSettings) -> LoginLimits | None:
    """The limits on log-ins; None if callers are not limited."""
    if not settings.limits_callers:
        return None
    return LoginLimits(
        failures_per_number=settings.caller_failed_logins_per_number,
        failures_per_number_day=settings.caller_failed_logins_per_number_day,
        failures=LimitsAround(
            settings.caller_failed_logins_per_network,
            settings.caller_failed_logins_per_site,
            settings.caller_failed_logins_per_app,
        ),
        successes_per_number=settings.caller_logins_per_number_hour,
        successes=LimitsAround(
            settings.caller_logins_per_network_hour,
            settings.caller_logins_per_site_hour,
            settings.caller_logins_per_app_hour,
        ),
        allow_list=settings.caller_allow_list,
    )
