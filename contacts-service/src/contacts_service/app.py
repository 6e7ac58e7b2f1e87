"""The composition root: builds contacts-service in the order in which its parts start."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any, cast

from aiohttp import web

from contacts_service import api
from contacts_service.consumer import QUEUE, DirectoryUpdater
from contacts_service.directory.directory import Directory
from contacts_service.reconciliation.retention import purging
from contacts_service.reconciliation.setup import reconciling
from contacts_service.settings import ContactsSettings
from contacts_service.setup import APIS, add_personal_data, build_budget, matching, serving_operators
from contacts_service.store import Store
from shared import amqp, postgres, redis
from shared.internal_api.server import new_service
from shared.outbox import Relay
from shared.process.health import BACKENDS, CHECKS

BODY_BYTES = 512 * 1024
"""Larger than a list of 2,000 numbers, so that a list that is too long gets its own error code."""


def create_app(settings: ContactsSettings, *, queue: amqp.Queue = QUEUE) -> web.Application:
    """Build the service. It consumes user events from ``queue`` and connects to its servers when it starts."""
    app = new_service(settings.principal_tokens, APIS, body_bytes=BODY_BYTES)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                postgres.pool(
                    settings.postgres_url,
                    settings.contacts_database,
                    restricted=settings.is_production,
                    package="contacts_service",
                )
            )
            client = await stack.enter_async_context(redis.client(settings.redis_url))
            store = Store(pool)
            budget = build_budget(settings, client)
            directory = await _directory(stack, store)
            publisher, consuming = await _broker(stack, settings)
            relay = Relay(pool, publisher)
            await stack.enter_async_context(relay.running())
            consumer = amqp.Consumer(queue, DirectoryUpdater(store, directory.add, budget.forget).handle, publisher)
            await stack.enter_async_context(consumer.running(consuming))
            if settings.operator_to_contacts_token:
                await stack.enter_async_context(serving_operators(app, pool, relay.wake, consuming, [queue]))
            await stack.enter_async_context(purging(store))
            await stack.enter_async_context(reconciling(settings, pool, consumer))
            add_personal_data(app, settings, pool, budget)
            app[api.MATCHER] = await stack.enter_async_context(matching(settings, budget, store, directory))
            app[BACKENDS]["rabbitmq"] = consuming.ping  # not part of readiness: matching works without it
            app[CHECKS]["bindings"] = consumer.check_bindings
            app[CHECKS]["postgresql"] = lambda: postgres.ping(pool)
            app[CHECKS]["redis"] = lambda: cast("Awaitable[Any]", client.ping())
            yield

    app.cleanup_ctx.append(resources)
    return app


async def _directory(stack: AsyncExitStack, store: Store) -> Directory:
    """The filter, which is built in the background."""
    directory = Directory(store)
    await stack.enter_async_context(directory.running())
    return directory


async def _broker(stack: AsyncExitStack, settings: ContactsSettings) -> tuple[amqp.Publisher, amqp.Connection]:
    """A publisher and a connection to consume from, on separate connections."""
    publishing = await stack.enter_async_context(amqp.connect(settings.amqp_url, "contacts-service publisher"))
    consuming = await stack.enter_async_context(amqp.connect(settings.amqp_url, "contacts-service consumer"))
    return await amqp.Publisher.open(publishing, "contacts"), consuming
