"""Opens an explainer with its connections, for the command line and for the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import SecretStr

from shared import postgres
from shared.internal_api.client import internal_client
from shared.phone import PhoneKeys
from sms_service.explain.explain import Explainer
from sms_service.explain.history_store import HistoryStore
from sms_service.explain.tickets import AuthTickets
from sms_service.keys import SealSettings, seal_of


class ExplainerSettings(SealSettings, Protocol):
    """The settings that an explainer needs. ``phone_key`` is in hexadecimal."""

    @property
    def postgres_url(self) -> str: ...
    @property
    def sms_database(self) -> str: ...
    @property
    def auth_url(self) -> str: ...
    @property
    def sms_to_auth_token(self) -> SecretStr: ...
    @property
    def phone_key(self) -> SecretStr: ...


@asynccontextmanager
async def explainer(settings: ExplainerSettings) -> AsyncIterator[Explainer]:
    """An explainer with connections of its own, so that reports and requests for codes never wait for each other."""
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with (
        postgres.pool(settings.postgres_url, settings.sms_database, size=1) as pool,
        internal_client(settings.auth_url, settings.sms_to_auth_token) as auth,
    ):
        yield Explainer(HistoryStore(pool), AuthTickets(auth), phones, seal_of(settings))
