"""Builds the objects of this room and puts them into the application."""

from aiohttp import web

from auth_service.clock import utc_now
from auth_service.resources import Resources
from auth_service.sessions.living_session_store import LivingSessionStore
from auth_service.sessions.token_digests import TokenDigests
from auth_service.settings import AuthSettings
from auth_service.tokens import api
from auth_service.tokens.access_tokens import AccessTokens
from auth_service.tokens.refresh_token_store import RefreshTokenStore
from auth_service.tokens.refresh_tokens import RefreshTokens
from auth_service.tokens.token_resolver import TokenResolver
from shared.keys import KeyRing


def add_tokens(app: web.Application, resources: Resources, settings: AuthSettings) -> RefreshTokens:
    """Add access tokens, refresh tokens, and the resolution of every kind of token."""
    ring = KeyRing.parse(settings.jwt_keys.get_secret_value())
    access_tokens = AccessTokens(ring, settings.jwt_issuer, settings.jwt_audience, settings.jwt_algorithm)
    digests = TokenDigests(bytes.fromhex(settings.phone_key.get_secret_value()))
    store = RefreshTokenStore(resources.pool, resources.wake)
    refresh_tokens = RefreshTokens(
        store, access_tokens=access_tokens, digests=digests, audit=resources.audit, clock=utc_now
    )
    app[api.ACCESS_TOKENS] = access_tokens
    app[api.TOKEN_RESOLVER] = TokenResolver(LivingSessionStore(resources.pool), access_tokens, digests, utc_now)
    app[api.REFRESH_TOKENS] = refresh_tokens
    return refresh_tokens
