"""Stores verifications and the activity of their numbers. Calls that come close together share one statement."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import chain, repeat

import asyncpg
import structlog

from shared.batching import Batcher, KeyedBatcher
from shared.errors import ServiceError
from shared.events.envelope import OutboxMessage
from shared.internal_api.sms import Purpose
from shared.postgres import Pool, connection, is_rolled_back
from sms_service.callers.failure_budget import FailureBudget
from sms_service.verification import audit_store, check_store, request_store
from sms_service.verification.audit_events import VerificationEvent
from sms_service.verification.limits import APP_FAILURES, NETWORK_FAILURE_WINDOW, NumberState, Verification
from sms_service.verification.models import (
    AcceptedRequest,
    AppFailure,
    CheckAttempt,
    CodeCheck,
    SuccessfulCheck,
    Verified,
)
from sms_service.verification.send_limits import Send

MAX_ACTIVE_NUMBERS = 20_000
"""Numbers that a process remembers to have been active, about 2 MiB. A forgotten one costs a statement, no more."""

MAX_CLOCK_AGE_SECONDS = 60.0
"""How long a reading of the database's clock is good for: clocks drift, and after a failover it is another one."""
MAX_READING_SECONDS = 0.5
"""How long the database may take to say its time. What it said is that much too late."""

NUMBER_STATES = """
    select now() as now, n.version as number_version, n.sends, n.send_networks, n.send_dialects, n.withheld_sends,
        v.verification_id, v.code_key_id, v.created_at, v.expires_at, v.tries, v.known_tries, v.verified_at, v.version
    from unnest($1::bigint[], $2::text[]) with ordinality as request (phone_ref, purpose, position)
    left join number_activity n using (phone_ref)
    left join verifications v using (phone_ref, purpose)
    order by request.position
"""

SENDS = """
    select now() as now, n.sends, n.send_networks, n.send_dialects, n.withheld_sends
    from (select 1) as always left join number_activity n on n.phone_ref = $1
"""

log = structlog.get_logger()

RECENT_FAILURES = """
    select count(*) from (
        select from verification_events where kind = 'incorrect' and at > now() - $1::interval limit $2
    ) as failures
"""


class DatabaseClock:
    """The database's clock, told without asking: what a statement read last, and the time that has passed since.

    Late by the time that the response to that statement took. ``monotonic`` counts seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._read: datetime | None = None
        self._read_at = 0.0

    def set(self, now: datetime, begun: float) -> None:
        """Note what a statement said that was ``begun`` a moment ago, unless it took long."""
        read_at = self.monotonic()
        if read_at - begun <= MAX_READING_SECONDS:
            self._read, self._read_at = now, read_at

    def now(self) -> datetime | None:
        """The time; None if the last reading is missing or too old."""
        passed = self.monotonic() - self._read_at
        if self._read is None or passed > MAX_CLOCK_AGE_SECONDS:
            return None
        return self._read + timedelta(seconds=passed)


class VerificationStore:
    """The repository of ``CodeIssuer``, ``CodeChecker`` and ``AuditRecorder``.

    ``failure_budget`` says how many incorrect codes one network may enter in an hour; ``app_failures`` is how many one
    app may.
    """

    def __init__(self, pool: Pool, failure_budget: FailureBudget, app_failures: int = APP_FAILURES) -> None:
        self._pool = pool
        self._failure_budget = failure_budget
        self._app_failures = app_failures
        self._clock = DatabaseClock()
        self._active = OrderedDict[int, None]()
        self._state = Batcher(self._states)
        self._wait = Batcher(self._waits)
        self._accept = KeyedBatcher(self._accept_all, lambda request: {request.phone_ref}, is_rolled_back)
        self._count_attempt = KeyedBatcher(
            self._count_all, lambda check: _keys(check.phone_ref, check.source_network), is_rolled_back
        )
        self._succeed = KeyedBatcher(
            self._succeed_all,
            lambda success: _keys(success.attempt.phone_ref, success.attempt.source_network),
            is_rolled_back,
        )

    def has_been_active(self, phone_ref: int) -> bool:
        """Whether this process has seen activity of the number, perhaps long ago."""
        return phone_ref in self._active

    def unread_state(self, phone_ref: int) -> NumberState | None:
        """The state of most numbers: nothing in 24 hours. None if it must be read, as that of an active number."""
        now = self._clock.now()
        return None if now is None or phone_ref in self._active else NumberState(now, 0, (), None)

    async def state(self, phone_ref: int, purpose: Purpose) -> NumberState:
        """The state of a number, read without a lock. ``accept`` finds out if it has changed since."""
        return await self._state((phone_ref, purpose))

    async def _states(self, requests: Sequence[tuple[int, Purpose]]) -> list[NumberState]:
        refs, purposes = [ref for ref, _ in requests], [purpose.value for _, purpose in requests]
        async with connection(self._pool) as conn:
            begun = self._clock.monotonic()
            rows = await conn.fetch(NUMBER_STATES, refs, purposes)
            self._clock.set(rows[0]["now"], begun)
        return [NumberState(row["now"], row["number_version"] or 0, _sends(row), _verification(row)) for row in rows]

    async def sends(self, phone_ref: int) -> tuple[datetime, Sequence[Send]]:
        """The time now, and the codes sent to a number, both by the database's clock."""
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(SENDS, phone_ref)
        assert row is not None  # noqa: S101  the statement always returns one row
        return row["now"], _sends(row)

    async def accept(self, request: AcceptedRequest) -> bool:
        """Write an accepted request. False if the number has changed since its state was read."""
        is_written = await self._accept(request)
        self._active[request.phone_ref] = None
        if len(self._active) > MAX_ACTIVE_NUMBERS:
            self._active.popitem(last=False)
        return is_written

    async def _accept_all(self, requests: Sequence[AcceptedRequest]) -> list[bool]:
        async with connection(self._pool) as conn:
            return await request_store.accept_requests(conn, requests)

    async def record_event(self, event: VerificationEvent, messages: Sequence[OutboxMessage]) -> None:
        """Store a verification event and publish its messages."""
        async with connection(self._pool) as conn:
            await audit_store.record_event(conn, event, messages)

    async def record_unusable(self, check: CodeCheck, dialect: str, *, is_recorded: bool) -> bool:
        """Store that a code was entered which no verification accepts, if there is a verification it belongs to.

        Returns whether a new code would not help the caller either: too many incorrect codes count on them.
        """
        allowed = self._failure_budget.network_failures
        async with connection(self._pool) as conn:
            return await audit_store.record_unusable(conn, check, dialect, allowed, is_recorded=is_recorded)

    async def count_attempt(self, check: CodeCheck) -> CheckAttempt | None:
        """Count an attempt before its code is compared; None if there is no code to compare.

        A check by ``verification_id`` alone goes on its own: which number it is for is known only to the statement.
        """
        if check.phone_ref is None:
            return (await self._count_all([check]))[0]
        return await self._count_attempt(check)

    async def _count_all(self, checks: Sequence[CodeCheck]) -> list[CheckAttempt | None]:
        async with connection(self._pool) as conn:
            return await check_store.count_attempts(conn, checks, self._failure_budget.network_failures)

    async def count_failures(self) -> None:
        """Update the failure budget with the incorrect codes of the last hour, over all numbers."""
        async with connection(self._pool) as conn:
            failures = await conn.fetchval(RECENT_FAILURES, NETWORK_FAILURE_WINDOW, self._failure_budget.allowed)
        self._failure_budget.update(failures)

    async def check_wait(self, network: str | None, app: str | None) -> int | None:
        """For how many seconds strangers in this network, and of this app, may enter no code; None if they may."""
        return await self._wait((network, app))

    async def _waits(self, places: Sequence[tuple[str | None, str | None]]) -> list[int | None]:
        network_failures = self._failure_budget.network_failures
        max_failures = {network: network_failures for network, _ in places if network is not None}
        max_failures |= {app: self._app_failures for _, app in places if app is not None}
        if not max_failures:
            return [None] * len(places)
        async with connection(self._pool) as conn:
            waits = await check_store.waits(conn, max_failures)
        return [max((waits[place] for place in pair if place in waits), default=None) for pair in places]

    async def count_app_failure(self, app: str) -> AppFailure | None:
        """Count an incorrect code of an app before the check; None if it has had too many in this hour."""
        async with connection(self._pool) as conn:
            return await check_store.count_app_failure(conn, app, self._app_failures)

    async def refund_app_failure(self, app: str, resets_at: datetime) -> None:
        """Subtract a counted incorrect code. Without PostgreSQL it stays counted until its window ends."""
        try:
            async with connection(self._pool) as conn:
                await check_store.refund_app_failure(conn, app, resets_at)
        except ServiceError:
            log.warning("app_failure.not_refunded", app=app)

    async def succeed(self, success: SuccessfulCheck) -> Verified | None:
        """Record a correct code and refund its attempt; None if its verification is replaced, or the code was used."""
        return await self._succeed(success)

    async def _succeed_all(self, successes: Sequence[SuccessfulCheck]) -> list[Verified | None]:
        async with connection(self._pool) as conn:
            return await check_store.succeed(conn, successes)


def _keys(*keys: int | str | None) -> set[int | str]:
    """The number and the source network that a statement changes."""
    return {key for key in keys if key is not None}


def _sends(row: asyncpg.Record) -> tuple[Send, ...]:
    networks, dialects = (chain(row[column] or (), repeat("")) for column in ("send_networks", "send_dialects"))
    withheld = row["withheld_sends"] or ()
    return tuple(map(Send, row["sends"] or (), networks, dialects, (at in withheld for at in row["sends"] or ())))


def _verification(row: asyncpg.Record) -> Verification | None:
    if row["verification_id"] is None:
        return None
    return Verification(
        row["verification_id"],
        row["code_key_id"],
        row["created_at"],
        row["expires_at"],
        row["tries"],
        row["known_tries"],
        row["verified_at"],
        row["version"],
    )
