"""The rounds of reconciliation: compare page by page, look at each difference twice, correct what is still wrong."""

import asyncio
import time
from collections import Counter as Counts
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

from contacts_service.reconciliation.model import Difference, DirectoryRow, differences
from shared.internal_api.directory import (
    MAX_USER_ID,
    MIN_USER_ID,
    PAGE_USERS,
    ComparedUsers,
    CompareUsers,
    VersionedUser,
    digest_of,
)

PAUSE_SECONDS = 0.1
"""Between two pages: the work is spread out, so that matching and log-in do not notice it."""

MAX_SUSPECTS = 200_000
"""Differences in memory at once, some 40 MB. More of them are corrected in several turns."""

HEALED = Counter("haoma_directory_healed_total", "Users of whom the directory was wrong, corrected", ["kind"])
COMPARED_AT = Gauge("haoma_directory_compared_timestamp_seconds", "When a round of comparison ended")

log = structlog.get_logger()
Suspects = dict[int, int]
"""The users who differed at the first look, each with a hash of the difference."""


class ComparedDirectory(Protocol):
    async def page(self, first: int, size: int) -> Sequence[DirectoryRow]:
        """The rows from ``first`` on, by user id, with those of erased users."""

    async def rows(self, user_ids: Sequence[int]) -> Sequence[DirectoryRow]:
        """The rows of these users."""

    async def correct(self, differences: Sequence[Difference]) -> set[int]:
        """Write what the accounts say, unless a row has changed since it was read. Returns the corrected users."""


class AccountSource(Protocol):
    async def compare(self, request: CompareUsers) -> ComparedUsers:
        """Compare a range. Raises ``ServiceError(UNAVAILABLE)``, also while events are late."""

    async def find(self, user_ids: Sequence[int]) -> Sequence[VersionedUser]:
        """The users of these ids that have an account. Raises as ``compare`` does."""


class RoundLease(Protocol):
    async def begin(self) -> datetime | None:
        """Take the next round, and return when it was due, which no other round was. None if it is not for us now."""

    async def extend(self) -> bool:
        """Keep the round. False if it was lost."""

    async def end(self) -> None:
        """The round is over: the next one is due after the interval."""


class Reconciler:
    """Compares the directory with the accounts and corrects it. One replica at a time does.

    A difference counts if it is exactly the same at two looks, ``settle_seconds`` apart: longer than any event is on
    its way. Each look reads the directory before the accounts, so a user without an account was erased.
    """

    def __init__(
        self,
        directory: ComparedDirectory,
        accounts: AccountSource,
        lease: RoundLease,
        *,
        has_backlog: Callable[[], Awaitable[bool]],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        """``settle`` waits between the looks. ``has_backlog`` tells whether events wait in the queue."""
        self._directory = directory
        self._accounts = accounts
        self._lease = lease
        self._has_backlog = has_backlog
        self._settle = settle
        self._round: datetime | None = None
        self._first_to_compare = MIN_USER_ID

    async def run_if_due(self) -> None:
        """One round, if it is due here. Raises ``ServiceError(UNAVAILABLE)``: then the next call goes on.

        It does so only in the same round: the next one, if another replica has ended this one, compares everyone.
        """
        if await self._has_backlog() or (due_round := await self._lease.begin()) is None:
            return
        if due_round != self._round:
            self._round, self._first_to_compare = due_round, MIN_USER_ID
        started, healed = time.monotonic(), Counts[str]()
        async for suspects in self._suspects():
            await self._settle()
            if not await self._lease.extend() or await self._has_backlog():
                return
            healed += await self._correct(suspects)
        if not await self._lease.extend():
            return
        self._first_to_compare = MIN_USER_ID
        await self._lease.end()
        COMPARED_AT.set_to_current_time()
        log.info("directory.compared", healed=dict(healed), seconds=round(time.monotonic() - started, 1))

    async def _suspects(self) -> AsyncIterator[Suspects]:
        """The differences of a first look at everyone, in turns of at most about ``MAX_SUSPECTS``."""
        suspects: Suspects = {}
        first = self._first_to_compare
        while first <= MAX_USER_ID and await self._lease.extend():
            up_to, found = await self._compare_page(first)
            first = up_to + 1
            suspects |= {each.user_id: _hash(each) for each in found}
            if len(suspects) >= MAX_SUSPECTS:
                yield suspects
                suspects = {}
            if not suspects:
                self._first_to_compare = first
            await asyncio.sleep(PAUSE_SECONDS if not found else 0)
        if suspects:
            yield suspects

    async def _compare_page(self, first: int) -> tuple[int, Sequence[Difference]]:
        """Compare the users of one page. Returns the last user id that was compared, and what differs."""
        rows = await self._directory.page(first, PAGE_USERS)
        up_to = rows[-1].user_id if len(rows) == PAGE_USERS else MAX_USER_ID
        digest = digest_of(user for row in rows if (user := row.user))
        compared = await self._accounts.compare(CompareUsers(first=first, up_to=up_to, digest=digest))
        if compared.is_equal:
            return compared.up_to, ()
        by_id = {row.user_id: row for row in rows if row.user_id <= compared.up_to}
        return compared.up_to, _differences(by_id, _by_id(compared.users))

    async def _correct(self, suspects: Suspects) -> Counts[str]:
        """Look again at the suspects, and correct those that differ just as before."""
        healed = Counts[str]()
        user_ids = iter(sorted(suspects))
        while chosen := list(islice(user_ids, PAGE_USERS)):
            rows = {row.user_id: row for row in await self._directory.rows(chosen)}
            found = _differences(rows, _by_id(await self._accounts.find(chosen)))
            wrong = [each for each in found if suspects[each.user_id] == _hash(each)]
            corrected = await self._directory.correct(wrong) if wrong else set()
            healed.update(each.kind for each in wrong if each.user_id in corrected)
        for kind, count in healed.items():
            HEALED.labels(kind).inc(count)
        if healed:
            log.warning("directory.healed", **healed)
        return healed


def _differences(rows: Mapping[int, DirectoryRow], accounts: Mapping[int, VersionedUser]) -> list[Difference]:
    return differences(sorted(rows.keys() | accounts.keys()), rows, accounts)


def _by_id(users: Sequence[VersionedUser]) -> dict[int, VersionedUser]:
    return {each.user.user_id: each for each in users}


def _hash(difference: Difference) -> int:
    return hash((difference.row, difference.account))
