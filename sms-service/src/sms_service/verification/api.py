"""The internal API of codes: read, call, reply."""

from aiohttp import web

from shared.internal_api.server import read, reply
from shared.internal_api.sms import ASK_STATUS, CHECK_CODE, ISSUE_CODE
from sms_service.verification.code_checker import CodeChecker
from sms_service.verification.code_issuer import CodeIssuer

ISSUER: web.AppKey[CodeIssuer] = web.AppKey("code_issuer", CodeIssuer)
CHECKER: web.AppKey[CodeChecker] = web.AppKey("code_checker", CodeChecker)

routes = web.RouteTableDef()


@routes.post(ISSUE_CODE.path)
async def issue_code(request: web.Request) -> web.Response:
    call = await read(request, ISSUE_CODE)
    return reply(await request.app[ISSUER].issue(call))


@routes.post(CHECK_CODE.path)
async def check_code(request: web.Request) -> web.Response:
    call = await read(request, CHECK_CODE)
    return reply(await request.app[CHECKER].check(call))


@routes.post(ASK_STATUS.path)
async def ask_status(request: web.Request) -> web.Response:
    call = await read(request, ASK_STATUS)
    return reply(await request.app[ISSUER].status(call))
