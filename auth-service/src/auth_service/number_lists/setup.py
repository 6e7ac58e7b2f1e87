"""Builds the object of this room and puts it into the application."""

from aiohttp import web

from auth_service.number_lists import api
from auth_service.number_lists.number_lists import NumberLists
from auth_service.number_lists.number_store import NumberStore
from shared.postgres import Pool


def add_number_lists(app: web.Application, pool: Pool, *, has_user_source: bool) -> None:
    """Add the lists of numbers for the filters of the gateways."""
    app[api.NUMBER_LISTS] = NumberLists(NumberStore(pool), has_user_source=has_user_source)
