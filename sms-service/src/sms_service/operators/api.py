"""The internal API of this room: explain a number, lift its limits, unblock a prefix."""

from aiohttp import web

from shared.internal_api.code_support import EXPLAIN_CODES, LIFT_CODE_LIMITS, UNBLOCK_PREFIX
from shared.internal_api.server import read, reply
from sms_service.operators.limits import OperatorLimits
from sms_service.operators.reports import OperatorReports

REPORTS: web.AppKey[OperatorReports] = web.AppKey("operator_reports", OperatorReports)
LIMITS: web.AppKey[OperatorLimits] = web.AppKey("operator_limits", OperatorLimits)
routes = web.RouteTableDef()


@routes.post(EXPLAIN_CODES.path)
async def explain_codes(request: web.Request) -> web.Response:
    call = await read(request, EXPLAIN_CODES)
    return reply(await request.app[REPORTS].explain(call))


@routes.post(LIFT_CODE_LIMITS.path)
async def lift_code_limits(request: web.Request) -> web.Response:
    call = await read(request, LIFT_CODE_LIMITS)
    return reply(await request.app[LIMITS].lift(call))


@routes.post(UNBLOCK_PREFIX.path)
async def unblock_prefix(request: web.Request) -> web.Response:
    call = await read(request, UNBLOCK_PREFIX)
    return reply(await request.app[LIMITS].unblock(call))
