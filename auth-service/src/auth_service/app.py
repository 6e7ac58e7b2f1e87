"""The composition root: what auth-service is made of."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from functools import partial

from aiohttp import web

from auth_service import api, owner_api
from auth_service.accounts import Accounts
from auth_service.audit_store import AuditStore
from auth_service.code_sign_in import CodeSignIn
from auth_service.families import Families
from auth_service.family_store import FamilyStore
from auth_service.hashing import HashingPool
from auth_service.login_store import LogInStore
from auth_service.number_store import NumberStore
from auth_service.numbers import Numbers
from auth_service.owner_store import OwnerStore
from auth_service.owners import Owners
from auth_service.passwords import Passwords
from auth_service.purge import purging
from auth_service.purge_store import PurgeStore
from auth_service.session_store import SessionStore
from auth_service.sessions import Sessions
from auth_service.settings import AuthSettings
from auth_service.sign_in_store import SignInStore
from auth_service.store import AccountStore
from auth_service.ticket_store import TicketStore
from auth_service.ticketing import TicketDesk
from auth_service.tokens import AccessTokens, utc_now
from auth_service.trials import Trials
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
    app.add_routes(owner_api.routes)

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
    app[owner_api.SIGN_INS] = CodeSignIn(SignInStore(pool), sessions=sessions, audit=audit, desk=desk, phones=phones)
    app[owner_api.OWNERS] = Owners(
        OwnerStore(pool, phones, relay.wake), trials=trials, audit=audit, passwords=passwords, phones=phones
    )
    tokens = AccessTokens(KeyRing.parse(settings.jwt_keys.get_secret_value()), settings.jwt_issuer)
    app[owner_api.TOKENS] = tokens
    app[owner_api.FAMILIES] = Families(FamilyStore(pool, relay.wake), app[api.SESSIONS], tokens, utc_now)
    app[CHECKS]["postgresql"] = partial(postgres.ping, pool)
