"""Builds the objects of this room and puts them into the application."""

from aiohttp import web

from auth_service.changes.api import CHANGE_LIMIT
from auth_service.resources import Resources
from auth_service.sessions import api
from auth_service.sessions.code_login import CodeLogin
from auth_service.sessions.code_login_store import CodeLoginStore
from auth_service.sessions.password_login import PasswordLogin, UserSource
from auth_service.sessions.session_opener import SessionOpener
from auth_service.sessions.session_store import SessionStore
from auth_service.sessions.user_sessions import UserSessions


def add_sessions(app: web.Application, resources: Resources, user_source: UserSource) -> SessionStore:
    """Add log-in with a password, log-in with a code, and the user's sessions. Returns the store, for other rooms.

    Also adds the limit on changes, which this room and others read.
    """
    pool, audit, phones = resources.pool, resources.audit, resources.phones
    store = SessionStore(pool, resources.wake)
    opener = SessionOpener(store)
    contexts = resources.contexts
    app[api.PASSWORD_LOGIN] = PasswordLogin(
        opener,
        password_check=resources.password_check,
        audit=audit,
        phones=phones,
        contexts=contexts,
        user_source=user_source,
    )
    app[api.CODE_LOGIN] = CodeLogin(
        CodeLoginStore(pool),
        opener=opener,
        audit=audit,
        tickets=resources.tickets,
        phones=phones,
        contexts=contexts,
        dormancy=resources.dormancy,
    )
    app[api.USER_SESSIONS] = UserSessions(store, contexts, resources.change_limit)
    app[CHANGE_LIMIT] = resources.change_limit
    return store
