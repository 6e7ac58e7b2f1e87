"""The internal HTTP API: one endpoint."""

from aiohttp import web

from contacts_service.matching import Matcher
from shared.internal_api.calls import Calls
from shared.internal_api.contacts import MATCH, Match, Matched
from shared.phone import E164

MATCHER: web.AppKey[Matcher] = web.AppKey("matcher", Matcher)
calls = Calls()


@calls.answer(MATCH)
async def match(app: web.Application, call: Match) -> Matched:
    """Match an address call."""
    return await app[MATCHER].match(call.user_id, E164(call.own_phone), call.phones)
