"""The composition root: the rooms of auth-service as one application."""

from collections.abc import AsyncIterator

from aiohttp import web

from auth_service.accounts.setup import add_accounts
from auth_service.jobs import running_jobs
from auth_service.lifecycle.setup import add_lifecycle
from auth_service.number_lists.setup import add_number_lists
from auth_service.operators.setup import add_operators
from auth_service.personal_data.setup import add_personal_data
from auth_service.resources import open_resources
from auth_service.routes import APIS
from auth_service.sessions.setup import add_sessions
from auth_service.settings import AuthSettings
from auth_service.tickets.setup import add_tickets
from auth_service.tokens.setup import add_tokens
from auth_service.user_source.setup import add_look_up, open_user_source
from shared.internal_api.server import new_service
from shared.process.health import BACKENDS, CHECKS


def create_app(settings: AuthSettings) -> web.Application:
    """The application. It connects to its servers when it starts, and disconnects when it ends.

    It is ready while PostgreSQL answers. Without RabbitMQ log-in works, and events wait in the outbox.
    """
    app = new_service(settings.principal_tokens, APIS)

    async def rooms(app: web.Application) -> AsyncIterator[None]:
        async with open_resources(settings) as resources, open_user_source(settings, resources) as user_source:
            session_store = add_sessions(app, resources, user_source)
            refresh_tokens = add_tokens(app, resources, settings)
            add_lifecycle(app, resources, session_store, refresh_tokens, user_source=user_source, settings=settings)
            add_look_up(app, resources, user_source, settings)
            add_tickets(app, resources.pool)
            add_accounts(app, resources.pool, resources.phones)
            add_number_lists(app, resources.pool, has_user_source=settings.user_source_url is not None)
            add_operators(app, resources)
            add_personal_data(app, resources)
            app[CHECKS]["postgresql"] = resources.ping
            app[BACKENDS]["rabbitmq"] = resources.ping_broker
            async with running_jobs(resources, settings):
                yield

    app.cleanup_ctx.append(rooms)
    return app
