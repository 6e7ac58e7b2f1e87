"""What an operator can ask over HTTP: read, call, reply. The services' token opens nothing here."""

from aiohttp import web

from shared.internal_api.endpoint import Endpoint
from shared.internal_api.server import read, reply
from sms_service.explain.explain import Explainer
from sms_service.explain.report import Report
from sms_service.explain.request import EXPLAIN_PATH, ExplainRequest

EXPLAIN = Endpoint(EXPLAIN_PATH, ExplainRequest, Report)
EXPLAINER: web.AppKey[Explainer] = web.AppKey("explainer", Explainer)
routes = web.RouteTableDef()


@routes.post(EXPLAIN.path)
async def explain(request: web.Request) -> web.Response:
    call = await read(request, EXPLAIN)
    return reply(await request.app[EXPLAINER].answer(call))
