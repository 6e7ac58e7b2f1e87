"""The internal API of this room: find and change accounts, and record what operators ask."""

from aiohttp import web

from auth_service.operators.accounts import OperatorAccounts
from auth_service.operators.login_limits_store import NumberLoginLimits
from auth_service.operators.request_log import RequestLog
from auth_service.operators.trail import Trail
from shared.internal_api.calls import Calls
from shared.internal_api.endpoint import Empty
from shared.internal_api.operators.accounts import (
    BAN_ACCOUNT,
    END_ACCOUNT_SESSIONS,
    ERASE_ACCOUNT,
    EXPORT_ACCOUNT,
    FIND_ACCOUNT,
    LIFT_LOGIN_LIMITS,
    LIST_AUDIT,
    RECORD_REQUEST,
    UNBAN_ACCOUNT,
    AccountChanged,
    AuditRows,
    BanAccount,
    EndAccountSessions,
    EraseAccount,
    ExportAccount,
    ExportedAccount,
    FindAccount,
    FoundAccount,
    LiftLoginLimits,
    ListAudit,
    LoginLimitsLifted,
    RecordRequest,
    UnbanAccount,
)

ACCOUNTS: web.AppKey[OperatorAccounts] = web.AppKey("operator_accounts", OperatorAccounts)
REQUEST_LOG: web.AppKey[RequestLog] = web.AppKey("request_log", RequestLog)
LOGIN_LIMITS: web.AppKey[NumberLoginLimits] = web.AppKey("number_login_limits", NumberLoginLimits)
TRAIL: web.AppKey[Trail] = web.AppKey("trail", Trail)
calls = Calls()


@calls.answer(FIND_ACCOUNT)
async def find_account(app: web.Application, call: FindAccount) -> FoundAccount:
    return await app[ACCOUNTS].find(call)


@calls.answer(BAN_ACCOUNT)
async def ban_account(app: web.Application, call: BanAccount) -> AccountChanged:
    return await app[ACCOUNTS].ban(call)


@calls.answer(UNBAN_ACCOUNT)
async def unban_account(app: web.Application, call: UnbanAccount) -> AccountChanged:
    return await app[ACCOUNTS].unban(call)


@calls.answer(END_ACCOUNT_SESSIONS)
async def end_account_sessions(app: web.Application, call: EndAccountSessions) -> AccountChanged:
    return await app[ACCOUNTS].end_sessions(call)


@calls.answer(ERASE_ACCOUNT)
async def erase_account(app: web.Application, call: EraseAccount) -> AccountChanged:
    return await app[ACCOUNTS].erase(call)


@calls.answer(EXPORT_ACCOUNT)
async def export_account(app: web.Application, call: ExportAccount) -> ExportedAccount:
    return await app[ACCOUNTS].export(call)


@calls.answer(LIFT_LOGIN_LIMITS)
async def lift_login_limits(app: web.Application, call: LiftLoginLimits) -> LoginLimitsLifted:
    return await app[LOGIN_LIMITS].lift(call)


@calls.answer(LIST_AUDIT)
async def list_audit(app: web.Application, call: ListAudit) -> AuditRows:
    return await app[TRAIL].list(call)


@calls.answer(RECORD_REQUEST)
async def record_request(app: web.Application, call: RecordRequest) -> Empty:
    await app[REQUEST_LOG].record(call)
    return Empty()
