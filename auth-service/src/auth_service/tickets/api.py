"""The internal API of this room: which tickets were spent."""

from aiohttp import web

from auth_service.tickets.spent_ticket_store import SpentTicketStore
from shared.internal_api.auth import FIND_SPENT
from shared.internal_api.server import read, reply

SPENT_TICKETS: web.AppKey[SpentTicketStore] = web.AppKey("spent_tickets", SpentTicketStore)
routes = web.RouteTableDef()


@routes.post(FIND_SPENT.path)
async def find_spent(request: web.Request) -> web.Response:
    call = await read(request, FIND_SPENT)
    return reply(await request.app[SPENT_TICKETS].find(call.verification_ids))
