"""An explainer with what it needs, for the command line and for the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from shared import postgres
from shared.internal_api.client import internal_client
from shared.phone import PhoneKeys
from sms_service.explain import api
from sms_service.explain.explain import Explainer
from sms_service.explain.history_store import HistoryStore
from sms_service.explain.tickets import AuthTickets
from sms_service.settings import ExplainSettings


@asynccontextmanager
async def explainer(settings: ExplainSettings) -> AsyncIterator[Explainer]:
    """On connections of its own, so that who explains never waits with those who ask for codes, nor they with him."""
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with (
        postgres.pool(settings.postgres_url, settings.sms_database, size=1) as pool,
        internal_client(settings.auth_url, settings.service_token.get_secret_value()) as auth,
    ):
        yield Explainer(HistoryStore(pool), AuthTickets(auth), phones)


def mount(app: web.Application, settings: ExplainSettings) -> None:
    """Let operators ask the API; whoever mounts it sees to their token."""

    async def opened(app: web.Application) -> AsyncIterator[None]:
        async with explainer(settings) as made:
            app[api.EXPLAINER] = made
            yield

    app.add_routes(api.routes)
    app.cleanup_ctx.append(opened)
