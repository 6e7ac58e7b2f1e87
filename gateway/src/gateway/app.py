"""The composition root: clients, flows, dialects and the guard around them."""

from collections.abc import AsyncIterator

from aiohttp import web

from gateway import documents, receipt_webhook
from gateway.backends import AuthBackend, ContactsBackend, SmsBackend
from gateway.dialect import FLOWS, SECURE_COOKIES, mount
from gateway.dialect_registry import choose, installed_dialects
from gateway.flows import Flows, Services
from gateway.middleware import guard
from gateway.pages import routes as pages
from gateway.sealed_number import NumberSeal
from gateway.sessions import SessionCache
from gateway.settings import GatewaySettings
from shared.internal_api.client import internal_client
from shared.keys import KeyRing
from shared.process.health import add_health
from shared.process.settings import Environment


def create_app(settings: GatewaySettings) -> web.Application:
    """The gateway, ready to be served.

    It is ready as soon as it listens: without a service behind it, it still says so in each contract's words,
    which no load balancer could.
    """
    dialects = choose(installed_dialects(), settings.dialects)
    app = web.Application(middlewares=[guard(dialects, settings.trusted_proxies)])
    app[SECURE_COOKIES] = settings.environment is Environment.PRODUCTION
    add_health(app)
    mount(app, dialects)
    documents.mount(app, dialects)
    app.add_routes(receipt_webhook.routes)
    if settings.serves_pages:
        pages.mount(app, {dialect.name for dialect in dialects})

    async def resources(app: web.Application) -> AsyncIterator[None]:
        token = settings.service_token.get_secret_value()
        async with (
            internal_client(settings.auth_url, token) as auth,
            internal_client(settings.sms_url, token) as sms,
            internal_client(settings.contacts_url, token) as contacts,
        ):
            app[receipt_webhook.SMS] = SmsBackend(sms)
            app[FLOWS] = Flows(
                Services(
                    AuthBackend(auth),
                    SmsBackend(sms),
                    ContactsBackend(contacts),
                    SessionCache(),
                    NumberSeal(KeyRing.parse(settings.sealed_number_keys.get_secret_value())),
                    settings.served_calling_codes,
                )
            )
            yield

    app.cleanup_ctx.append(resources)
    return app
