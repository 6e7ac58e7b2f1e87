"""The internal API of this room: grant and refresh tokens, resolve a token, publish the keys."""

from aiohttp import web

from auth_service.tokens.access_tokens import AccessTokens
from auth_service.tokens.refresh_tokens import RefreshTokens
from auth_service.tokens.token_resolver import TokenResolver
from shared.internal_api.auth import GRANT, REFRESH, RESOLVE, Grant, Granted, Refresh, Resolve, Resolved
from shared.internal_api.calls import Calls
from shared.internal_api.endpoint import Empty
from shared.internal_api.public_keys import READ_KEYS, IssuerKeys
from shared.networks import RequestSource

ACCESS_TOKENS: web.AppKey[AccessTokens] = web.AppKey("access_tokens", AccessTokens)
REFRESH_TOKENS: web.AppKey[RefreshTokens] = web.AppKey("refresh_tokens", RefreshTokens)
TOKEN_RESOLVER: web.AppKey[TokenResolver] = web.AppKey("token_resolver", TokenResolver)
calls = Calls()


@calls.answer(GRANT)
async def grant(app: web.Application, call: Grant) -> Granted:
    return await app[REFRESH_TOKENS].grant(call.token)


@calls.answer(REFRESH)
async def refresh(app: web.Application, call: Refresh) -> Granted:
    return await app[REFRESH_TOKENS].refresh(call.refresh_token, _network_of(call))


@calls.answer(RESOLVE)
async def resolve(app: web.Application, call: Resolve) -> Resolved:
    return await app[TOKEN_RESOLVER].resolve(call.token)


@calls.answer(READ_KEYS)
async def read_keys(app: web.Application, _: Empty) -> IssuerKeys:
    return app[ACCESS_TOKENS].public_keys()


def _network_of(call: Refresh) -> str:
    """The network that a refresh came from, or the app; empty if neither is known."""
    return RequestSource(call.address, call.app).network if call.address or call.app else ""
