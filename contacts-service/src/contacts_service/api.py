"""The internal HTTP API: one endpoint."""

from aiohttp import web

from contacts_service.matching import Matcher
from shared.internal_api.contacts import MATCH
from shared.internal_api.server import read, reply
from shared.phone import E164

MATCHER: web.AppKey[Matcher] = web.AppKey("matcher", Matcher)
routes = web.RouteTableDef()


@routes.post(MATCH.path)
async def match(request: web.Request) -> web.Response:
    """Match an address book."""
    book = await read(request, MATCH)
    return reply(await request.app[MATCHER].match(book.user_id, E164(book.own_phone), book.phones))
