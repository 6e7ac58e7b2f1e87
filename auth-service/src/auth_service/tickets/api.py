"""The internal API of this room: which tickets were spent."""

from aiohttp import web

from auth_service.tickets.spent_ticket_store import SpentTicketStore
from shared.internal_api.auth import FIND_SPENT, FindSpent, SpentTickets
from shared.internal_api.calls import Calls

SPENT_TICKETS: web.AppKey[SpentTicketStore] = web.AppKey("spent_tickets", SpentTicketStore)
calls = Calls()


@calls.answer(FIND_SPENT)
async def find_spent(app: web.Application, call: FindSpent) -> SpentTickets:
    return await app[SPENT_TICKETS].find(call.verification_ids)
