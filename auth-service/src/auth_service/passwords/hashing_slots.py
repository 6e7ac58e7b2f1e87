"""Turns at the hashing threads, shared fairly by network and by account, so that a flood takes its own share only."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import prometheus_client as prometheus
import structlog

from auth_service.passwords.fair_queue import FairQueue, Path
from shared.errors import ServiceError, unavailable
from shared.networks import RequestSource, nested_networks

MAX_WAIT_SECONDS = 2.0
"""The longest that a caller waits, for a slot and for its hashes together, before it is told to come back."""
QUEUE_SECONDS = 1.0
"""How long a new caller may expect to wait: half of the longest wait, in case the machine slows down."""
FIRST_JOB_SECONDS = 0.05
WEIGHT = 0.1
"""The weight of one job in the moving average."""
RETRY_AFTER = 3
LOG_SECONDS = 1.0
SLOTS_BESIDE_THREADS = 2
"""How many more slots than jobs that are reported together: some callers use the database while the threads hash."""
TOGETHER_SECONDS = 0.15
"""How long a thread may begin jobs whose results it reports together: each waits for those after it."""
MAX_TOGETHER = 4
"""The most results that a thread reports together: more spare little (docs/decisions/0091)."""
SLOTS_FOR_NEWCOMERS = 2
"""How many more there are for blocks that have none, so that these need not wait until a flood gives one back."""

JOBS = prometheus.Gauge("haoma_hash_jobs", "Callers that wait for a slot at the hashing threads, or have one")
SHED_JOBS = prometheus.Counter(
    "haoma_hash_shed_total", "Password hashes refused: full queue, or waited too long", ["reason"]
)

log = structlog.get_logger()


def share_of(source: RequestSource, phone_ref: int) -> Path:
    """The share that a request about a number takes its slot in: its networks, the widest first, and the account.

    The first of them is called its block: what one flood can have (docs/decisions/0096).
    """
    if source.address is None:
        place = source.place
        return (place, place, place, source.network, phone_ref)
    return (*nested_networks(source.address), phone_ref)


class QueueLimit:
    """How many may have a slot, and wait for one: as fast as recent jobs were, and at most ``queue`` may wait.

    Those wait that the threads begin in time. A longer queue would serve no one just above capacity: every caller would
    wait until it has gone.
    """

    def __init__(self, threads: int, queue: int, max_together: int = MAX_TOGETHER) -> None:
        self._threads = threads
        self._queue = queue
        self._max_together = max_together
        self._job_seconds = FIRST_JOB_SECONDS

    def record(self, seconds: float) -> None:
        """Take note of how long a job ran."""
        self._job_seconds += WEIGHT * (min(seconds, MAX_WAIT_SECONDS) - self._job_seconds)

    @property
    def together(self) -> int:
        """How many results a thread reports together while as many wait."""
        return max(1, min(self._max_together, int(TOGETHER_SECONDS / self._job_seconds)))

    @property
    def slots(self) -> int:
        """How many may have a slot."""
        return self._threads * self.together + SLOTS_BESIDE_THREADS

    @property
    def waiting(self) -> int:
        """How many may wait for a slot."""
        return min(self._queue, int(QUEUE_SECONDS * self._threads / self._job_seconds))


class Shedding:
    """Refuses callers for whom there is no time, and counts them. The log has a line for each reason once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged_at: dict[str, float] = {}

    def refusal(self, reason: str) -> ServiceError:
        """The refusal of one caller: ``UNAVAILABLE``."""
        SHED_JOBS.labels(reason).inc()
        now = self._clock()
        if now - self._logged_at.get(reason, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged_at[reason] = now
            log.warning("hash.shed", reason=reason)
        return unavailable(RETRY_AFTER)


@dataclass(slots=True)
class HashingSlot:
    """The right of a share to hash until ``ends_at``, on the clock of the event loop, which is the monotonic one.

    ``hashing_since`` is when a thread began to hash for it, and None before that.
    """

    share: Path
    ends_at: float
    hashing_since: float | None = None


class HashingSlots:
    """Gives as many as the limit says at once, and as many ``for_newcomers`` more to blocks that have none.

    Beyond the limit of those who wait, the block with the most waiting loses the newest of its own longest share.
    """

    def __init__(self, shedding: Shedding, limit: QueueLimit, *, for_newcomers: int = 0) -> None:
        self._for_newcomers = for_newcomers
        self._used: Counter[Hashable] = Counter()
        self._shedding = shedding
        self._limit = limit
        self._waiting: FairQueue[tuple[Path, asyncio.Future[None]]] = FairQueue()

    @asynccontextmanager
    async def take(self, slot: HashingSlot) -> AsyncIterator[None]:
        """Have the slot for the block. Raises ``UNAVAILABLE`` when the queue of its share is full, and at its end."""
        await self._wait(slot)
        try:
            yield
        finally:
            self._give_back(slot.share)

    def is_alone_beside_a_crowd(self, share: Path) -> bool:
        """Whether the block of this share has one slot, and another has several."""
        return self._used[share[0]] == 1 and self._used.total() > len(self._used)

    async def _wait(self, slot: HashingSlot) -> None:
        if self._is_free_for(slot.share):
            self._used[slot.share[0]] += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.push(slot.share, (slot.share, place))
        self._shed_beyond_limit()
        try:
            async with asyncio.timeout_at(slot.ends_at):
                await place
        except (TimeoutError, asyncio.CancelledError) as error:
            self._give_up(slot.share, place)
            if isinstance(error, TimeoutError):
                raise self._shedding.refusal("slow") from error
            raise

    def _give_up(self, share: Path, place: "asyncio.Future[None]") -> None:
        """Leave the queue, or pass on the slot that came at the same moment."""
        if place.cancelled():
            self._waiting.discard(share, (share, place))
        elif place.exception() is None:
            self._give_back(share)

    def _shed_beyond_limit(self) -> None:
        while self._waiting.size > self._limit.waiting:
            _, place = self._waiting.pop_newest_of_longest()
            if not place.done():
                place.set_exception(self._shedding.refusal("full"))

    def _is_free_for(self, share: Path) -> bool:
        """Whether there is a slot that no caller waits for, or one for newcomers."""
        used, slots = self._used.total(), self._limit.slots
        if used < slots and not self._waiting.size:  # there may be more slots than a moment ago
            return True
        return share[0] not in self._used and used < slots + self._for_newcomers

    def _give_back(self, share: Path) -> None:
        """Take the slot back, and give those that are free to callers that wait."""
        self._used[share[0]] -= 1
        self._used += Counter()  # drops the blocks that have none
        while self._waiting.size and self._used.total() < self._limit.slots:
            next_share, place = self._waiting.pop()
            if not place.done():  # it may have been cancelled a moment ago
                self._used[next_share[0]] += 1
                place.set_result(None)
