"""The internal API of this room: explain a number, lift its limits, unblock a prefix, check senders."""

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
from shared.internal_api.operators.senders import (
    LIST_SENDERS,
    SEND_TEST_MESSAGE,
    ListSenders,
    Senders,
    SendTestMessage,
    TestMessageResult,
)
from sms_service.operators.limits import OperatorLimits
from sms_service.operators.reports import OperatorReports
from sms_service.operators.senders import OperatorSenders

REPORTS: web.AppKey[OperatorReports] = web.AppKey("operator_reports", OperatorReports)
LIMITS: web.AppKey[OperatorLimits] = web.AppKey("operator_limits", OperatorLimits)
SENDERS: web.AppKey[OperatorSenders] = web.AppKey("operator_senders", OperatorSenders)
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


@calls.answer(LIST_SENDERS)
async def list_senders(app: web.Application, _: ListSenders) -> Senders:
    return await app[SENDERS].listed()


@calls.answer(SEND_TEST_MESSAGE)
async def send_test_message(app: web.Application, call: SendTestMessage) -> TestMessageResult:
    return await app[SENDERS].test(call)
