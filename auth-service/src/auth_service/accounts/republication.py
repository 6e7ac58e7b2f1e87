"""Republishes every user as they are now, for a consumer that is new or has lost events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from auth_service.accounts.events import user_updated
from auth_service.accounts.model import StoredAccount
from shared.events.envelope import OutboxMessage, to_queue
from shared.phone import PhoneKeys

PAGE_SIZE = 500
"""Accounts in memory at once: one page is published while the next one is read."""


class RefusedPageError(Exception):
    """The broker refused an event. With a queue as the target, there is no such queue, or it is full."""


class AccountPages(Protocol):
    async def page(self, after: int, size: int) -> Sequence[StoredAccount]:
        """The next accounts above ``after``, by user id."""


class PagePublisher(Protocol):
    async def publish_all(self, messages: Sequence[OutboxMessage]) -> list[bool]:
        """Publish and wait for the confirms. True for each that was refused. Raises ``ConnectionError``."""


@dataclass(frozen=True)
class Progress:
    """``users`` were republished so far, the last of them ``last_user_id``."""

    users: int
    last_user_id: int


class Republication:
    """Publishes ``auth.user.updated.v1`` for each account, with its present version.

    A consumer that has this version or a newer one ignores the event. Erased accounts have no event: they are gone.
    """

    def __init__(self, accounts: AccountPages, publisher: PagePublisher, phones: PhoneKeys, queue: str = "") -> None:
        """Publish to ``queue`` alone, or without one to every consumer."""
        self._accounts = accounts
        self._publisher = publisher
        self._phones = phones
        self._queue = queue

    async def run(self, *, after: int = 0, since: datetime | None = None) -> AsyncIterator[Progress]:
        """Publish the accounts above ``after`` that changed at ``since`` or later; yields after each confirmed page.

        Raises ``RefusedPageError``, ``ConnectionError`` (no broker), ``ServiceError(UNAVAILABLE)`` (no PostgreSQL).
        """
        users = 0
        async with aclosing(self._pages(after)) as pages:
            async for page in pages:
                events = [self._event(stored) for stored in page if since is None or stored.account.updated_at >= since]
                if events and any(await self._publisher.publish_all(events)):
                    raise RefusedPageError
                users += len(events)
                yield Progress(users, page[-1].user_id)

    async def _pages(self, after: int) -> AsyncGenerator[Sequence[StoredAccount], None]:
        """The pages in order, each read while the caller works on the one before."""
        reading = asyncio.create_task(self._read(after))
        try:
            while page := await reading:
                reading = asyncio.create_task(self._read(page[-1].user_id))
                yield page
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, after: int) -> Sequence[StoredAccount]:
        return await self._accounts.page(after, PAGE_SIZE)

    def _event(self, account: StoredAccount) -> OutboxMessage:
        event = user_updated(account, self._phones)
        return to_queue(event, self._queue) if self._queue else event
