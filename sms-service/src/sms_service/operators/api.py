"""The internal API of this room: explain a number, lift its limits, unblock a prefix."""

from aiohttp import web

from shared.internal_api.calls import Calls
from shared.internal_api.operators.codes import (
    EXPLAIN_CODES,
    LIFT_CODE_LIMITS,
    UNBLOCK_PREFIX,
    ExplainCodes,
    Explained,
    LiftCodeLimits,
    Lifted,
    UnblockPrefix,
)
from sms_service.operators.limits import OperatorLimits
from sms_service.operators.reports import OperatorReports

REPORTS: web.AppKey[OperatorReports] = web.AppKey("operator_reports", OperatorReports)
LIMITS: web.AppKey[OperatorLimits] = web.AppKey("operator_limits", OperatorLimits)
calls = Calls()


@calls.answer(EXPLAIN_CODES)
async def explain_codes(app: web.Application, call: ExplainCodes) -> Explained:
    return await app[REPORTS].explain(call)


@calls.answer(LIFT_CODE_LIMITS)
async def lift_code_limits(app: web.Application, call: LiftCodeLimits) -> Lifted:
    return await app[LIMITS].lift(call)


@calls.answer(UNBLOCK_PREFIX)
async def unblock_prefix(app: web.Application, call: UnblockPrefix) -> Lifted:
    return await app[LIMITS].unblock(call)
