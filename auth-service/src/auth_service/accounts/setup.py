"""Builds the object of this room and puts it into the application."""

from aiohttp import web

from auth_service.accounts import api
from auth_service.accounts.comparison import UserComparison
from auth_service.accounts.comparison_store import UserStore
from shared.phone import PhoneKeys
from shared.postgres import Pool


def add_accounts(app: web.Application, pool: Pool, phones: PhoneKeys) -> None:
    """Add the comparison of the accounts with the copy of contacts-service."""
    app[api.USER_COMPARISON] = UserComparison(UserStore(pool, phones))
