"""Builds the objects of this room and puts them into the application."""

from aiohttp import web

from auth_service.erasure.setup import new_erasure
from auth_service.lifecycle import api
from auth_service.lifecycle.password_reset import PasswordReset
from auth_service.lifecycle.password_reset_store import PasswordResetStore
from auth_service.lifecycle.phone_change import PhoneChange
from auth_service.lifecycle.phone_change_store import PhoneChangeStore
from auth_service.lifecycle.redemption import RedemptionRepository, TicketRedemption
from auth_service.lifecycle.registration import Registration, UserSource
from auth_service.lifecycle.registration_store import RegistrationStore
from auth_service.lifecycle.self_service import SelfService
from auth_service.lifecycle.self_service_store import SelfServiceStore
from auth_service.resources import Resources
from auth_service.sessions.session_opener import SessionOpener, SessionRepository
from auth_service.settings import AuthSettings
from auth_service.tokens.refresh_tokens import RefreshTokens


def add_lifecycle(
    app: web.Application,
    resources: Resources,
    sessions: SessionRepository,
    tokens: RefreshTokens,
    *,
    user_source: UserSource,
    settings: AuthSettings,
) -> None:
    """Add registration, password reset, change of number, self-service and erasure."""
    pool, wake, audit, phones = resources.pool, resources.wake, resources.audit, resources.phones
    passwords, contexts, dormancy = resources.passwords, resources.contexts, resources.dormancy
    registration_store = RegistrationStore(pool, phones, wake)
    redemption = _new_redemption(resources, registration_store, sessions)
    app[api.REGISTRATION] = Registration(
        registration_store,
        redemption=redemption,
        passwords=passwords,
        phones=phones,
        nickname_prefix=settings.nickname_prefix,
        dormancy=dormancy,
        tokens=tokens,
        user_source=user_source,
    )
    app[api.PASSWORD_RESET] = PasswordReset(
        PasswordResetStore(pool, wake), redemption=redemption, passwords=passwords, dormancy=dormancy
    )
    app[api.PHONE_CHANGE] = _new_phone_change(resources, user_source)
    app[api.SELF_SERVICE] = SelfService(
        SelfServiceStore(pool, phones, wake),
        password_check=resources.password_check,
        audit=audit,
        passwords=passwords,
        phones=phones,
        new_tokens=tokens,
        contexts=contexts,
        change_limits=resources.change_limit,
    )
    app[api.ERASURE] = new_erasure(resources)


def _new_phone_change(resources: Resources, user_source: UserSource) -> PhoneChange:
    return PhoneChange(
        PhoneChangeStore(resources.pool, resources.phones, resources.wake),
        audit=resources.audit,
        tickets=resources.tickets,
        phones=resources.phones,
        contexts=resources.contexts,
        dormancy=resources.dormancy,
        user_source=user_source,
    )


def _new_redemption(
    resources: Resources, repository: RedemptionRepository, sessions: SessionRepository
) -> TicketRedemption:
    return TicketRedemption(
        repository,
        opener=SessionOpener(sessions),
        audit=resources.audit,
        passwords=resources.passwords,
        password_check=resources.password_check,
        tickets=resources.tickets,
        phones=resources.phones,
        contexts=resources.contexts,
    )
