"""The explain call over HTTP, for operators: the services' token does not open it."""

from aiohttp import web

from shared.internal_api.endpoint import Endpoint
from shared.internal_api.principals import Principal
from shared.internal_api.server import read, reply
from sms_service.explain.explain import Explainer
from sms_service.explain.report import Report
from sms_service.explain.request import EXPLAIN_PATH, ExplainRequest

EXPLAIN = Endpoint(EXPLAIN_PATH, ExplainRequest, Report, Principal.OPERATOR)
EXPLAINER: web.AppKey[Explainer] = web.AppKey("explainer", Explainer)
routes = web.RouteTableDef()


@routes.post(EXPLAIN.path)
async def explain(http_request: web.Request) -> web.Response:
    request = await read(http_request, EXPLAIN)
    return reply(await http_request.app[EXPLAINER].respond(request))
