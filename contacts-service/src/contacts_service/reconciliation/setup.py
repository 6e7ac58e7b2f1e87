"""Builds the reconciliation of one replica and keeps it running."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Protocol

from pydantic import SecretStr

from contacts_service.reconciliation.accounts import AuthAccounts
from contacts_service.reconciliation.reconciler import Reconciler
from contacts_service.reconciliation.store import ReconciliationStore, RoundLeaseStore
from shared.amqp import Consumer
from shared.background import repeating
from shared.errors import ServiceError
from shared.events.envelope import new_id
from shared.internal_api.client import internal_client
from shared.postgres import Pool

MAX_POLL_SECONDS = 10.0
HOLD_SECONDS = 60.0
"""How long a replica keeps a round without a sign of life, besides the time to settle."""


class ReconciliationSettings(Protocol):
    @property
    def auth_url(self) -> str: ...
    @property
    def contacts_to_auth_token(self) -> SecretStr: ...
    @property
    def directory_check_seconds(self) -> int: ...
    @property
    def directory_settle_seconds(self) -> int: ...


@asynccontextmanager
async def reconciling(settings: ReconciliationSettings, pool: Pool, consumer: Consumer) -> AsyncIterator[None]:
    """Reconcile in the background until the block ends; never if ``DIRECTORY_CHECK_SECONDS`` is 0."""
    interval, settle = settings.directory_check_seconds, settings.directory_settle_seconds
    if interval == 0:
        yield
        return
    lease = RoundLeaseStore(pool, new_id(), hold_seconds=settle + HOLD_SECONDS, interval_seconds=interval)
    async with internal_client(settings.auth_url, settings.contacts_to_auth_token) as auth:
        reconciler = Reconciler(
            ReconciliationStore(pool),
            AuthAccounts(auth),
            lease,
            has_backlog=consumer.has_backlog,
            settle=partial(asyncio.sleep, settle),
        )
        poll = min(MAX_POLL_SECONDS, interval)
        async with repeating("reconciliation", poll, reconciler.run_if_due, first_after=poll):
            yield
    with suppress(ServiceError):  # without PostgreSQL the lease runs out
        await lease.release()
