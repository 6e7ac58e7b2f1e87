"""Builds the budget, the matcher from its parts and what users are given, and says which calls the service has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from contacts_service import api
from contacts_service.budget import Budget
from contacts_service.directory.directory import Directory
from contacts_service.match_events import MatchEvents
from contacts_service.matching import Matcher
from contacts_service.numbers import NumberReader
from contacts_service.personal_data import api as personal_data
from contacts_service.personal_data.store import EntryStore
from contacts_service.settings import ContactsSettings
from contacts_service.store import Store
from shared.parked import api as parked
from shared.parked.setup import taking_parked as serving_operators
from shared.phone import PhoneKeys
from shared.postgres import Pool
from shared.redis import AnyRedis

__all__ = ["APIS", "add_personal_data", "build_budget", "matching", "serving_operators"]

APIS = (api, personal_data, parked)
"""The internal API of this service."""


def build_budget(settings: ContactsSettings, client: AnyRedis) -> Budget:
    """The budget of look-ups in Redis."""
    return Budget(
        client,
        bytes.fromhex(settings.phone_key.get_secret_value()),
        numbers=settings.contacts_budget,
        per_hour=settings.contacts_budget_per_hour,
        calls_per_minute=settings.calls_per_minute,
    )


@asynccontextmanager
async def matching(
    settings: ContactsSettings, budget: Budget, store: Store, directory: Directory
) -> AsyncIterator[Matcher]:
    """The matcher over its stores, whose events are written until the block ends."""
    keys = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    # Nothing wakes the relay for contacts.matched: its poll publishes them a second later, many in one batch.
    events = MatchEvents(store)
    async with events.running():
        yield Matcher(NumberReader(keys, settings.served_calling_codes), budget, directory, store, events)


def add_personal_data(app: web.Application, settings: ContactsSettings, pool: Pool, budget: Budget) -> None:
    """Give the application what users are given of their own data."""
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    app[personal_data.PERSONAL_DATA] = personal_data.PersonalData(EntryStore(pool), budget.look_ups, phones)
