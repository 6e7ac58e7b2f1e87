"""The internal API of this room: grant and refresh tokens, resolve a token, publish the keys."""

from aiohttp import web

from auth_service.tokens.access_tokens import AccessTokens
from auth_service.tokens.refresh_tokens import RefreshTokens
from auth_service.tokens.token_resolver import TokenResolver
from shared.internal_api.auth import GRANT, REFRESH, RESOLVE, Refresh
from shared.internal_api.public_keys import READ_KEYS
from shared.internal_api.server import read, reply
from shared.networks import RequestSource

ACCESS_TOKENS: web.AppKey[AccessTokens] = web.AppKey("access_tokens", AccessTokens)
REFRESH_TOKENS: web.AppKey[RefreshTokens] = web.AppKey("refresh_tokens", RefreshTokens)
TOKEN_RESOLVER: web.AppKey[TokenResolver] = web.AppKey("token_resolver", TokenResolver)
routes = web.RouteTableDef()


@routes.post(GRANT.path)
async def grant(request: web.Request) -> web.Response:
    call = await read(request, GRANT)
    return reply(await request.app[REFRESH_TOKENS].grant(call.token))


@routes.post(REFRESH.path)
async def refresh(request: web.Request) -> web.Response:
    call = await read(request, REFRESH)
    return reply(await request.app[REFRESH_TOKENS].refresh(call.refresh_token, _network_of(call)))


@routes.post(RESOLVE.path)
async def resolve(request: web.Request) -> web.Response:
    call = await read(request, RESOLVE)
    return reply(await request.app[TOKEN_RESOLVER].resolve(call.token))


@routes.post(READ_KEYS.path)
async def read_keys(request: web.Request) -> web.Response:
    await read(request, READ_KEYS)
    return reply(request.app[ACCESS_TOKENS].public_keys())


def _network_of(call: Refresh) -> str:
    """The network that a refresh came from, or the app; empty if neither is known."""
    return RequestSource(call.address, call.app).network if call.address or call.app else ""
