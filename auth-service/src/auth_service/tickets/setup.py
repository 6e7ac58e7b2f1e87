"""Builds the object of this room and puts it into the application."""

from aiohttp import web

from auth_service.tickets import api
from auth_service.tickets.spent_ticket_store import SpentTicketStore
from shared.postgres import Pool


def add_tickets(app: web.Application, pool: Pool) -> None:
    """Add the list of spent tickets."""
    app[api.SPENT_TICKETS] = SpentTicketStore(pool)
