"""Builds the matcher from its parts."""

from redis.asyncio import Redis

from contacts_service.budget import Budget
from contacts_service.directory import Directory
from contacts_service.matching import Matcher
from contacts_service.numbers import NumberReader
from contacts_service.settings import ContactsSettings
from contacts_service.store import Store
from shared import redis
from shared.phone import PhoneKeys


def build_matcher(settings: ContactsSettings, client: Redis, store: Store, directory: Directory) -> Matcher:
    """The matcher over its stores."""
    budget = Budget(
        redis.Script(client, "contacts_service", "lua/budget.lua"),
        numbers=settings.contacts_budget,
        per_hour=settings.contacts_budget_per_hour,
    )
    keys = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    # Nothing wakes the relay for contacts.matched: its poll publishes them a second later, many in one batch.
    return Matcher(NumberReader(keys, settings.served_calling_codes), budget, directory, store, store.publish)
