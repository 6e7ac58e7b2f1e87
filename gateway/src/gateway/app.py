"""The composition root: clients, flows, dialects, and the middleware around them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from gateway import receipt_webhook
from gateway.dialect import FLOWS, mount
from gateway.dialect_registry import choose, installed_dialects
from gateway.documents import routes as documents
from gateway.flows.composition import Flows, compose_flows, running_number_filter
from gateway.http.callers import Callers
from gateway.http.environment import add_environment
from gateway.http.web_origins import WebOrigins
from gateway.middleware import guard
from gateway.pages import routes as pages
from gateway.settings import GatewaySettings
from shared.internal_api.client import InternalClient, internal_client
from shared.keys import KeyRing
from shared.process.health import BACKENDS, add_checks, add_public_probe
from shared.process.settings import OnOff


def create_app(settings: GatewaySettings) -> web.Application:
    """Build the gateway. It is ready as soon as it listens, with or without the services behind it.

    While they are unavailable, it refuses in the format of each contract, which a load balancer could not.
    """
    dialects = choose(installed_dialects(), settings.dialects)
    callers = Callers.configured(settings.trusted_proxies, settings.app_keys)
    origins = WebOrigins(settings.cors_origins, [dialect.owns for dialect in dialects])
    app = web.Application(middlewares=[guard(dialects, callers, origins)])
    add_environment(app, settings.environment, settings.session_cookies)
    add_checks(app)
    add_public_probe(app)
    mount(app, dialects)
    documents.mount(app, dialects)
    app.add_routes(receipt_webhook.routes)
    if settings.serves_pages:
        pages.mount(app, dialects, settings.served_calling_codes, tells_accounts=settings.tells_accounts)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with (
            AsyncExitStack() as stack,
            internal_client(settings.auth_url, settings.gateway_to_auth_token) as auth,
            internal_client(settings.sms_url, settings.gateway_to_sms_token) as sms,
            internal_client(settings.contacts_url, settings.gateway_to_contacts_token) as contacts,
        ):
            _show(app, stack, {"auth-service": auth, "sms-service": sms, "contacts-service": contacts})
            app[receipt_webhook.FORWARDER] = receipt_webhook.ReceiptForwarder(sms)
            app[FLOWS] = await stack.enter_async_context(_flows(settings, auth, sms, contacts))
            yield

    app.cleanup_ctx.append(resources)
    return app


@asynccontextmanager
async def _flows(
    settings: GatewaySettings, auth: InternalClient, sms: InternalClient, contacts: InternalClient
) -> AsyncIterator[Flows]:
    """The flows, with the filter of registered numbers that they use, which runs until the end of the block."""
    async with running_number_filter(auth, settings.account_disclosure) as number_filter:
        yield compose_flows(
            auth=auth,
            sms=sms,
            contacts=contacts,
            seal_keys=KeyRing.parse(settings.sealed_number_keys.get_secret_value()),
            served_calling_codes=settings.served_calling_codes,
            refuse_common_passwords=settings.refuse_common_passwords is OnOff.ON,
            account_disclosure=settings.account_disclosure,
            number_filter=number_filter,
        )


def _show(app: web.Application, stack: AsyncExitStack, services: Mapping[str, InternalClient]) -> None:
    """Show in the metrics which services answer, and the connections to them until ``stack`` is closed."""
    for name, client in services.items():
        app[BACKENDS][name] = client.ping
        stack.enter_context(client.showing_pool(name))
