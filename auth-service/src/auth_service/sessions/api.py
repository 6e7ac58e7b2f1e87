"""The internal API of this room: log in, list sessions, end them."""

from aiohttp import web

from auth_service.sessions.code_login import CodeLogin
from auth_service.sessions.password_login import PasswordLogin
from auth_service.sessions.user_sessions import UserSessions
from shared.internal_api.auth import (
    END_OTHERS,
    END_SESSION,
    LIST_SESSIONS,
    LOG_IN_WITH_CODE,
    LOG_IN_WITH_PASSWORD,
    EndOthers,
    EndSession,
    ListSessions,
    LivingSessions,
    LoggedIn,
    LogInWithCode,
    LogInWithPassword,
)
from shared.internal_api.calls import Calls
from shared.internal_api.endpoint import Empty

PASSWORD_LOGIN: web.AppKey[PasswordLogin] = web.AppKey("password_login", PasswordLogin)
CODE_LOGIN: web.AppKey[CodeLogin] = web.AppKey("code_login", CodeLogin)
USER_SESSIONS: web.AppKey[UserSessions] = web.AppKey("user_sessions", UserSessions)
calls = Calls()


@calls.answer(LOG_IN_WITH_PASSWORD)
async def log_in_with_password(app: web.Application, call: LogInWithPassword) -> LoggedIn:
    return await app[PASSWORD_LOGIN].log_in(call)


@calls.answer(LOG_IN_WITH_CODE)
async def log_in_with_code(app: web.Application, call: LogInWithCode) -> LoggedIn:
    return await app[CODE_LOGIN].log_in(call)


@calls.answer(LIST_SESSIONS)
async def list_sessions(app: web.Application, call: ListSessions) -> LivingSessions:
    return LivingSessions(sessions=list(await app[USER_SESSIONS].list(call.user_id)))


@calls.answer(END_SESSION)
async def end_session(app: web.Application, call: EndSession) -> Empty:
    await app[USER_SESSIONS].end(call)
    return Empty()


@calls.answer(END_OTHERS)
async def end_others(app: web.Application, call: EndOthers) -> Empty:
    await app[USER_SESSIONS].end_others(call)
    return Empty()
