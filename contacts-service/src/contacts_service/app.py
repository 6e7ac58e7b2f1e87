"""The composition root: what contacts-service is made of, in the order it comes up."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any, cast

import asyncpg
from aiohttp import web
from redis.asyncio import Redis

from contacts_service import api
from contacts_service.budget import Budget
from contacts_service.consumer import QUEUE, Follower, watched
from contacts_service.directory import Directory
from contacts_service.matching import Matcher
from contacts_service.numbers import NumberReader
from contacts_service.settings import ContactsSettings
from contacts_service.store import Store
from shared import amqp, postgres, redis
from shared.errors import ServiceError
from shared.internal_api.server import new_service
from shared.outbox import Relay
from shared.phone import PhoneKeys
from shared.process.health import CHECKS
from shared.process.startup import wait_for_server

BODY_BYTES = 512 * 1024
"""Room for a list well beyond the 2,000 entries allowed, so that it is refused for its length and by name."""


def create_app(settings: ContactsSettings, *, queue: amqp.Queue = QUEUE) -> web.Application:
    """Build the service, following users by way of ``queue``. It reaches its servers when it starts, not here."""
    app = new_service(settings.service_token.get_secret_value(), api.routes, body_bytes=BODY_BYTES)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(postgres.pool(settings.postgres_url, settings.contacts_database))
            client = await stack.enter_async_context(redis.client(settings.redis_url))
            store = Store(pool)
            directory = await _directory(stack, settings, store)
            publisher, incoming = await _bus(stack, settings)
            await stack.enter_async_context(Relay(pool, publisher).running())
            consumer = amqp.Consumer(queue, Follower(store, directory.learn).handle, publisher)
            await stack.enter_async_context(consumer.running(incoming))
            await stack.enter_async_context(watched(consumer, queue.name))
            app[api.MATCHER] = _matcher(settings, client, store, directory)
            # The broker is not among them: without it matching works, and taking every replica out would not
            # bring it back. Its state is the gauge haoma_consuming.
            app[CHECKS]["postgresql"] = lambda: postgres.ping(pool)
            app[CHECKS]["redis"] = lambda: cast("Awaitable[Any]", client.ping())
            yield

    app.cleanup_ctx.append(resources)
    return app


async def _directory(stack: AsyncExitStack, settings: ContactsSettings, store: Store) -> Directory:
    """The filter, loaded; first waiting for the migration where both are started at once."""
    await wait_for_server(
        "the contacts tables in PostgreSQL",
        "POSTGRES_URL",
        settings.postgres_url,
        lambda: store.page(-1, 1),
        on=(ServiceError, asyncpg.PostgresError),
    )
    directory = Directory(store)
    await stack.enter_async_context(directory.running())
    return directory


async def _bus(stack: AsyncExitStack, settings: ContactsSettings) -> tuple[amqp.Publisher, amqp.Connection]:
    """To publish with, and to consume from: each on a connection of its own."""
    outgoing = await stack.enter_async_context(amqp.connect(settings.amqp_url, "contacts-service publisher"))
    incoming = await stack.enter_async_context(amqp.connect(settings.amqp_url, "contacts-service consumer"))
    return await amqp.Publisher.open(outgoing), incoming


def _matcher(settings: ContactsSettings, client: Redis, store: Store, directory: Directory) -> Matcher:
    budget = Budget(
        redis.Script(client, "contacts_service", "lua/budget.lua"),
        numbers=settings.contacts_budget,
        per_hour=settings.contacts_budget_per_hour,
    )
    keys = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    # The relay's poll, not a wake-up, takes contacts.matched along: a second later, but many in one batch.
    return Matcher(NumberReader(keys, settings.served_calling_codes), budget, directory, store, store.publish)
