"""The internal HTTP API: one question."""

from aiohttp import web

from contacts_service.matching import Matcher
from shared.internal_api.contacts import MATCH
from shared.internal_api.server import read, reply
from shared.phone import E164

MATCHER: web.AppKey[Matcher] = web.AppKey("matcher", Matcher)
routes = web.RouteTableDef()


@routes.post(MATCH.path)
async def match(request: web.Request) -> web.Response:
    """Which of these numbers are members?"""
    call = await read(request, MATCH)
    matched = await request.app[MATCHER].match(call.user_id, E164(call.own_phone), call.phones)
    return reply(matched)
