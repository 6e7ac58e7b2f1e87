"""Builds what operators use of what is parked, for the composition root of a service."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from shared.amqp import Connection, Queue
from shared.parked import api
from shared.parked.intake import ParkedIntake
from shared.parked.items import ParkedDesk
from shared.parked.message_store import ParkedMessageStore
from shared.parked.outbox_store import ParkedOutboxStore
from shared.postgres import Pool


def add_parked_outbox(app: web.Application, pool: Pool, wake: Callable[[], None]) -> None:
    """Let operators settle parked rows of the outbox, in a service that consumes nothing."""
    app[api.PARKED] = ParkedDesk([ParkedOutboxStore(pool)], wake)


@asynccontextmanager
async def taking_parked(
    app: web.Application, pool: Pool, wake: Callable[[], None], connection: Connection, queues: Sequence[Queue]
) -> AsyncIterator[None]:
    """Take what the consumers of these queues give up, and let operators settle it, until the block ends."""
    messages = ParkedMessageStore(pool)
    app[api.PARKED] = ParkedDesk([messages, ParkedOutboxStore(pool)], wake)
    async with ParkedIntake(queues, connection, messages).running():
        yield
