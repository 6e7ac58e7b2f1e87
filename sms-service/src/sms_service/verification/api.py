"""The internal API of codes: issue one, check one, ask for the cooldown."""

from aiohttp import web

from shared.internal_api.calls import Calls
from shared.internal_api.sms import (
    ASK_STATUS,
    CHECK_CODE,
    ISSUE_CODE,
    ISSUE_TO_INACTIVE,
    AskStatus,
    CheckCode,
    CodeChecked,
    CodeIssued,
    IssueCode,
    IssuedToInactive,
    Status,
)
from sms_service.verification.code_checker import CodeChecker
from sms_service.verification.code_issuer import CodeIssuer

ISSUER: web.AppKey[CodeIssuer] = web.AppKey("code_issuer", CodeIssuer)
CHECKER: web.AppKey[CodeChecker] = web.AppKey("code_checker", CodeChecker)

calls = Calls()


@calls.answer(ISSUE_CODE)
async def issue_code(app: web.Application, call: IssueCode) -> CodeIssued:
    return await app[ISSUER].issue(call)


@calls.answer(ISSUE_TO_INACTIVE)
async def issue_to_inactive(app: web.Application, call: IssueCode) -> IssuedToInactive:
    return IssuedToInactive(issued=await app[ISSUER].issue_to_inactive(call))


@calls.answer(CHECK_CODE)
async def check_code(app: web.Application, call: CheckCode) -> CodeChecked:
    return await app[CHECKER].check(call)


@calls.answer(ASK_STATUS)
async def ask_status(app: web.Application, call: AskStatus) -> Status:
    return await app[ISSUER].status(call)
