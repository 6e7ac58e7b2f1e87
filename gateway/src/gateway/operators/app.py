"""The composition root of the operator API. It has no store: it calls the services as the operator."""

from collections.abc import AsyncIterator

from aiohttp import web

from gateway.named_operators import NamedOperators
from gateway.operators import api
from gateway.operators.requests import OperatorRequests
from gateway.settings import OperatorApiSettings
from shared.internal_api.client import internal_client
from shared.internal_api.operators.requests import ServiceName
from shared.process.health import add_checks

MAX_BODY_BYTES = 64 * 1024
CALL_SECONDS = 12.0
"""More than a test message takes. The command gives up after 15 s."""


def create_operator_api(settings: OperatorApiSettings) -> web.Application:
    """Build the operator API. It is ready as soon as it listens."""
    app = web.Application(middlewares=[api.boundary], client_max_size=MAX_BODY_BYTES)
    add_checks(app)
    app[api.OPERATORS] = NamedOperators(settings.operators)
    app.add_routes(api.routes)

    async def clients(app: web.Application) -> AsyncIterator[None]:
        async with (
            internal_client(settings.auth_url, settings.operator_to_auth_token, seconds=CALL_SECONDS) as auth,
            internal_client(settings.sms_url, settings.operator_to_sms_token, seconds=CALL_SECONDS) as sms,
            internal_client(
                settings.contacts_url, settings.operator_to_contacts_token, seconds=CALL_SECONDS
            ) as contacts,
        ):
            app[api.REQUESTS] = OperatorRequests(
                {ServiceName.AUTH: auth, ServiceName.SMS: sms, ServiceName.CONTACTS: contacts}
            )
            yield

    app.cleanup_ctx.append(clients)
    return app
