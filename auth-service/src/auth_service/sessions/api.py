"""The internal API of this room: log in, list sessions, end them."""

from aiohttp import web

from auth_service.changes.api import read_change
from auth_service.sessions.code_login import CodeLogin
from auth_service.sessions.password_login import PasswordLogin
from auth_service.sessions.user_sessions import UserSessions
from shared.internal_api.auth import (
    END_OTHERS,
    END_SESSION,
    LIST_SESSIONS,
    LOG_IN_WITH_CODE,
    LOG_IN_WITH_PASSWORD,
    LivingSessions,
)
from shared.internal_api.endpoint import Empty
from shared.internal_api.server import read, reply

PASSWORD_LOGIN: web.AppKey[PasswordLogin] = web.AppKey("password_login", PasswordLogin)
CODE_LOGIN: web.AppKey[CodeLogin] = web.AppKey("code_login", CodeLogin)
USER_SESSIONS: web.AppKey[UserSessions] = web.AppKey("user_sessions", UserSessions)
routes = web.RouteTableDef()


@routes.post(LOG_IN_WITH_PASSWORD.path)
async def log_in_with_password(request: web.Request) -> web.Response:
    call = await read(request, LOG_IN_WITH_PASSWORD)
    return reply(await request.app[PASSWORD_LOGIN].log_in(call))


@routes.post(LOG_IN_WITH_CODE.path)
async def log_in_with_code(request: web.Request) -> web.Response:
    call = await read(request, LOG_IN_WITH_CODE)
    return reply(await request.app[CODE_LOGIN].log_in(call))


@routes.post(LIST_SESSIONS.path)
async def list_sessions(request: web.Request) -> web.Response:
    call = await read(request, LIST_SESSIONS)
    return reply(LivingSessions(sessions=list(await request.app[USER_SESSIONS].list(call.user_id))))


@routes.post(END_SESSION.path)
async def end_session(request: web.Request) -> web.Response:
    call = await read_change(request, END_SESSION)
    await request.app[USER_SESSIONS].end(call.user_id, call.session_id)
    return reply(Empty())


@routes.post(END_OTHERS.path)
async def end_others(request: web.Request) -> web.Response:
    call = await read_change(request, END_OTHERS)
    await request.app[USER_SESSIONS].end_others(call.user_id, call.session_id)
    return reply(Empty())
