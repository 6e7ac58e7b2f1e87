"""The composition root: what auth-service is made of."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from functools import partial

from aiohttp import web

from auth_service.audit_store import AuditStore
from auth_service.lifecycle import api, self_service_api
from auth_service.lifecycle.phone_change import PhoneChange
from auth_service.lifecycle.phone_change_store import PhoneChangeStore
from auth_service.lifecycle.registration import Registration
from auth_service.lifecycle.registration_store import RegistrationStore
from auth_service.lifecycle.self_service import SelfService
from auth_service.lifecycle.self_service_store import SelfServiceStore
from auth_service.passwords.failure_store import LoginFailureStore
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.retention import purging
from auth_service.retention_store import RetentionStore
from auth_service.sessions.code_login import CodeLogin
from auth_service.sessions.code_login_store import CodeLoginStore
from auth_service.sessions.password_login import PasswordLogin
from auth_service.sessions.session_store import SessionStore
from auth_service.settings import AuthSettings
from auth_service.tickets.spent_ticket_store import SpentTicketStore
from auth_service.tickets.verifier import TicketVerifier
from auth_service.tokens.access_tokens import AccessTokens, utc_now
from auth_service.tokens.refresh_token_store import RefreshTokenStore
from auth_service.tokens.refresh_tokens import RefreshTokens
from shared import amqp, postgres
from shared.internal_api.server import new_service
from shared.keys import KeyRing
from shared.outbox import Relay
from shared.phone import PhoneKeys
from shared.process.health import CHECKS
from shared.process.settings import OnOff
from shared.tickets import TicketCodec


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
    bus = await stack.enter_async_context(amqp.connect(settings.amqp_url, "auth-service publisher"))
    relay = Relay(pool, await amqp.Publisher.open(bus))
    await stack.enter_async_context(relay.running())
    await stack.enter_async_context(purging(RetentionStore(pool, settings.audit_days)))
    hashing = stack.enter_context(closing(HashingPool(settings.password_hash_threads, settings.password_hash_queue)))

    passwords = PasswordHasher(KeyRing.parse(settings.password_peppers.get_secret_value()), hashing)
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    tickets = TicketVerifier(TicketCodec(KeyRing.parse(settings.ticket_keys.get_secret_value())), utc_now)
    audit = AuditStore(pool)
    sessions = SessionStore(pool, relay.wake)
    password_check = RateLimitedCheck(LoginFailureStore(pool), passwords, limited=settings.caller_limits is OnOff.ON)
    app[api.SESSIONS] = PasswordLogin(sessions, password_check=password_check, audit=audit, phones=phones)
    app[api.ACCOUNTS] = Registration(
        RegistrationStore(pool, relay.wake),
        sessions=sessions,
        audit=audit,
        passwords=passwords,
        tickets=tickets,
        phones=phones,
        nickname_prefix=settings.nickname_prefix,
    )
    app[api.NUMBERS] = PhoneChange(PhoneChangeStore(pool, relay.wake), audit=audit, tickets=tickets, phones=phones)
    app[api.TICKETS] = SpentTicketStore(pool)
    app[self_service_api.SIGN_INS] = CodeLogin(
        CodeLoginStore(pool), sessions=sessions, audit=audit, tickets=tickets, phones=phones
    )
    app[self_service_api.OWNERS] = SelfService(
        SelfServiceStore(pool, phones, relay.wake),
        password_check=password_check,
        audit=audit,
        passwords=passwords,
        phones=phones,
    )
    tokens = AccessTokens(KeyRing.parse(settings.jwt_keys.get_secret_value()), settings.jwt_issuer)
    app[self_service_api.TOKENS] = tokens
    app[self_service_api.FAMILIES] = RefreshTokens(
        RefreshTokenStore(pool, relay.wake), app[api.SESSIONS], tokens, utc_now
    )
    app[CHECKS]["postgresql"] = partial(postgres.ping, pool)
