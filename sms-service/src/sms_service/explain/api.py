"""The explain call over HTTP, for operators: the services' token does not open it."""

from aiohttp import web

from shared.internal_api.calls import Calls
from shared.internal_api.endpoint import Endpoint
from shared.internal_api.principals import Principal
from sms_service.explain.explain import Explainer
from sms_service.explain.report import Report
from sms_service.explain.request import EXPLAIN_PATH, ExplainRequest

EXPLAIN = Endpoint(EXPLAIN_PATH, ExplainRequest, Report, Principal.OPERATOR)
EXPLAINER: web.AppKey[Explainer] = web.AppKey("explainer", Explainer)
calls = Calls()


@calls.answer(EXPLAIN)
async def explain(app: web.Application, call: ExplainRequest) -> Report:
    return await app[EXPLAINER].respond(call)
