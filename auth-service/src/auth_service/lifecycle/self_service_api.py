"""What auth-service answers about a user's own account, his sessions and tokens, each call in three moves."""

from aiohttp import web

from auth_service.lifecycle.self_service import SelfService
from auth_service.sessions.code_login import CodeLogin
from auth_service.tokens.access_tokens import AccessTokens
from auth_service.tokens.refresh_tokens import RefreshTokens
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PROFILE,
    END_OTHERS,
    END_SESSION,
    ERASE,
    GRANT,
    LIST_SESSIONS,
    LOG_IN_WITH_CODE,
    READ_KEYS,
    REFRESH,
    RESOLVE,
    LivingSessions,
    PublicKeys,
)
from shared.internal_api.endpoint import Empty
from shared.internal_api.server import read, reply

OWNERS: web.AppKey[SelfService] = web.AppKey("owners", SelfService)
FAMILIES: web.AppKey[RefreshTokens] = web.AppKey("families", RefreshTokens)
SIGN_INS: web.AppKey[CodeLogin] = web.AppKey("sign_ins", CodeLogin)
TOKENS: web.AppKey[AccessTokens] = web.AppKey("tokens", AccessTokens)
routes = web.RouteTableDef()


@routes.post(LOG_IN_WITH_CODE.path)
async def sign_in(request: web.Request) -> web.Response:
    call = await read(request, LOG_IN_WITH_CODE)
    return reply(await request.app[SIGN_INS].sign_in(call))


@routes.post(GRANT.path)
async def grant(request: web.Request) -> web.Response:
    call = await read(request, GRANT)
    return reply(await request.app[FAMILIES].grant(call.token))


@routes.post(REFRESH.path)
async def refresh(request: web.Request) -> web.Response:
    call = await read(request, REFRESH)
    return reply(await request.app[FAMILIES].refresh(call.refresh_token))


@routes.post(RESOLVE.path)
async def resolve(request: web.Request) -> web.Response:
    call = await read(request, RESOLVE)
    return reply(await request.app[FAMILIES].resolve(call.token))


@routes.post(READ_KEYS.path)
async def read_keys(request: web.Request) -> web.Response:
    await read(request, READ_KEYS)
    return reply(PublicKeys(keys=request.app[TOKENS].public_keys()))


@routes.post(LIST_SESSIONS.path)
async def list_sessions(request: web.Request) -> web.Response:
    call = await read(request, LIST_SESSIONS)
    return reply(LivingSessions(sessions=list(await request.app[OWNERS].sessions(call.user_id))))


@routes.post(END_SESSION.path)
async def end_session(request: web.Request) -> web.Response:
    call = await read(request, END_SESSION)
    await request.app[OWNERS].end_session(call.user_id, call.session_id)
    return reply(Empty())


@routes.post(END_OTHERS.path)
async def end_others(request: web.Request) -> web.Response:
    call = await read(request, END_OTHERS)
    await request.app[OWNERS].end_others(call.user_id, call.session_id)
    return reply(Empty())


@routes.post(CHANGE_PASSWORD.path)
async def change_password(request: web.Request) -> web.Response:
    call = await read(request, CHANGE_PASSWORD)
    await request.app[OWNERS].change_password(call)
    return reply(Empty())


@routes.post(CHANGE_PROFILE.path)
async def change_profile(request: web.Request) -> web.Response:
    call = await read(request, CHANGE_PROFILE)
    return reply(await request.app[OWNERS].change_profile(call))


@routes.post(ERASE.path)
async def erase(request: web.Request) -> web.Response:
    call = await read(request, ERASE)
    await request.app[OWNERS].erase(call)
    return reply(Empty())
