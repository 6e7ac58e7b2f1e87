"""The internal API of this room: find and change accounts, and record what operators ask."""

from aiohttp import web

from auth_service.operators.accounts import OperatorAccounts
from auth_service.operators.login_limits_store import NumberLoginLimits
from auth_service.operators.request_log import RequestLog
from auth_service.operators.trail import Trail
from shared.internal_api.endpoint import Empty
from shared.internal_api.operators import (
    BAN_ACCOUNT,
    END_ACCOUNT_SESSIONS,
    ERASE_ACCOUNT,
    EXPORT_ACCOUNT,
    FIND_ACCOUNT,
    LIFT_LOGIN_LIMITS,
    LIST_AUDIT,
    RECORD_REQUEST,
    UNBAN_ACCOUNT,
)
from shared.internal_api.server import read, reply

ACCOUNTS: web.AppKey[OperatorAccounts] = web.AppKey("operator_accounts", OperatorAccounts)
REQUEST_LOG: web.AppKey[RequestLog] = web.AppKey("request_log", RequestLog)
LOGIN_LIMITS: web.AppKey[NumberLoginLimits] = web.AppKey("number_login_limits", NumberLoginLimits)
TRAIL: web.AppKey[Trail] = web.AppKey("trail", Trail)
routes = web.RouteTableDef()


@routes.post(FIND_ACCOUNT.path)
async def find_account(request: web.Request) -> web.Response:
    call = await read(request, FIND_ACCOUNT)
    return reply(await request.app[ACCOUNTS].find(call))


@routes.post(BAN_ACCOUNT.path)
async def ban_account(request: web.Request) -> web.Response:
    call = await read(request, BAN_ACCOUNT)
    return reply(await request.app[ACCOUNTS].ban(call))


@routes.post(UNBAN_ACCOUNT.path)
async def unban_account(request: web.Request) -> web.Response:
    call = await read(request, UNBAN_ACCOUNT)
    return reply(await request.app[ACCOUNTS].unban(call))


@routes.post(END_ACCOUNT_SESSIONS.path)
async def end_account_sessions(request: web.Request) -> web.Response:
    call = await read(request, END_ACCOUNT_SESSIONS)
    return reply(await request.app[ACCOUNTS].end_sessions(call))


@routes.post(ERASE_ACCOUNT.path)
async def erase_account(request: web.Request) -> web.Response:
    call = await read(request, ERASE_ACCOUNT)
    return reply(await request.app[ACCOUNTS].erase(call))


@routes.post(EXPORT_ACCOUNT.path)
async def export_account(request: web.Request) -> web.Response:
    call = await read(request, EXPORT_ACCOUNT)
    return reply(await request.app[ACCOUNTS].export(call))


@routes.post(LIFT_LOGIN_LIMITS.path)
async def lift_login_limits(request: web.Request) -> web.Response:
    call = await read(request, LIFT_LOGIN_LIMITS)
    return reply(await request.app[LOGIN_LIMITS].lift(call))


@routes.post(LIST_AUDIT.path)
async def list_audit(request: web.Request) -> web.Response:
    call = await read(request, LIST_AUDIT)
    return reply(await request.app[TRAIL].list(call))


@routes.post(RECORD_REQUEST.path)
async def record_request(request: web.Request) -> web.Response:
    call = await read(request, RECORD_REQUEST)
    await request.app[REQUEST_LOG].record(call)
    return reply(Empty())
