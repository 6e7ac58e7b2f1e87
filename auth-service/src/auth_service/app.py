"""The composition root: what auth-service is made of."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from functools import partial

from aiohttp import web

from auth_service.audit_store import AuditStore
from auth_service.lifecycle import api, self_service_api
from auth_service.lifecycle.phone_change import Numbers
from auth_service.lifecycle.phone_change_store import NumberStore
from auth_service.lifecycle.registration import Accounts
from auth_service.lifecycle.registration_store import AccountStore
from auth_service.lifecycle.self_service import Owners
from auth_service.lifecycle.self_service_store import OwnerStore
from auth_service.passwords.failure_store import LogInStore
from auth_service.passwords.hasher import Passwords
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.rate_limited_check import Trials
from auth_service.retention import purging
from auth_service.retention_store import PurgeStore
from auth_service.sessions.code_login import CodeSignIn
from auth_service.sessions.code_login_store import SignInStore
from auth_service.sessions.password_login import Sessions
from auth_service.sessions.session_store import SessionStore
from auth_service.settings import AuthSettings
from auth_service.tickets.spent_ticket_store import TicketStore
from auth_service.tickets.verifier import TicketDesk
from auth_service.tokens.access_tokens import AccessTokens, utc_now
from auth_service.tokens.refresh_token_store import FamilyStore
from auth_service.tokens.refresh_tokens import Families
from shared import amqp, postgres
from shared.health import CHECKS
from shared.keys import KeyRing
from shared.outbox import Relay
from shared.phone import PhoneKeys
from shared.rpc import new_service
from shared.settings import OnOff
from shared.tickets import TicketBooth


def create_app(settings: AuthSettings) -> web.Application:
    """The application; servers are reached when it starts and let go when it ends.

    Ready means that PostgreSQL answers: log-in works with RabbitMQ stopped, events then wait in the outbox.
    """
    app = new_service(settings.service_token.get_secret_value(), api.routes)
    app.add_routes(self_service_api.routes)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _compose(app, settings, stack)
            yield

    app.cleanup_ctx.append(resources)
    return app


async def _compose(app: web.Application, settings: AuthSettings, stack: AsyncExitStack) -> None:
    pool = await stack.enter_async_context(
        postgres.pool(settings.postgres_url, settings.auth_database, size=settings.postgres_connections)
    )
    bus = await stack.enter_async_context(amqp.connection(settings.amqp_url, "auth-service publisher"))
    relay = Relay(pool, await amqp.Publisher.open(bus))
    await stack.enter_async_context(relay.running())
    await stack.enter_async_context(purging(PurgeStore(pool, settings.audit_days)))
    hashing = stack.enter_context(closing(HashingPool(settings.hash_threads, settings.hash_queue)))

    passwords = Passwords(KeyRing.parse(settings.password_peppers.get_secret_value()), hashing)
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    desk = TicketDesk(TicketBooth(KeyRing.parse(settings.ticket_keys.get_secret_value())), utc_now)
    audit = AuditStore(pool)
    sessions = SessionStore(pool, relay.wake)
    trials = Trials(LogInStore(pool), passwords, limited=settings.caller_limits is OnOff.ON)
    app[api.SESSIONS] = Sessions(sessions, trials=trials, audit=audit, phones=phones)
    app[api.ACCOUNTS] = Accounts(
        AccountStore(pool, relay.wake),
        sessions=sessions,
        audit=audit,
        passwords=passwords,
        desk=desk,
        phones=phones,
        nickname_prefix=settings.nickname_prefix,
    )
    app[api.NUMBERS] = Numbers(NumberStore(pool, relay.wake), audit=audit, desk=desk, phones=phones)
    app[api.TICKETS] = TicketStore(pool)
    app[self_service_api.SIGN_INS] = CodeSignIn(
        SignInStore(pool), sessions=sessions, audit=audit, desk=desk, phones=phones
    )
    app[self_service_api.OWNERS] = Owners(
        OwnerStore(pool, phones, relay.wake), trials=trials, audit=audit, passwords=passwords, phones=phones
    )
    tokens = AccessTokens(KeyRing.parse(settings.jwt_keys.get_secret_value()), settings.jwt_issuer)
    app[self_service_api.TOKENS] = tokens
    app[self_service_api.FAMILIES] = Families(FamilyStore(pool, relay.wake), app[api.SESSIONS], tokens, utc_now)
    app[CHECKS]["postgresql"] = partial(postgres.ping, pool)
