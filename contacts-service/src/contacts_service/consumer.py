"""What we do when a user changed elsewhere: keep his entry of the directory as auth-service last told it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge
from pydantic import AwareDatetime, ValidationError

from shared.amqp import Consumer, PoisonError, Queue
from shared.events import CloudEvent, UserDeleted, UserRegistered, UserSnapshot, UserUpdated
from shared.phone import ref_from_hex, ref_hex

QUEUE = Queue("contacts.directory", (UserRegistered.key, UserUpdated.key, UserDeleted.key))
WATCH_SECONDS = 5.0
CHECK_SECONDS = 2.0

EVENTS = Counter("haoma_directory_events_total", "Snapshots of users that arrived", ["outcome"])
CONSUMING = Gauge("haoma_consuming", "1 while the broker counts a consumer on the queue", ["queue"])

log = structlog.get_logger()


@dataclass(frozen=True)
class Entry:
    """A user as the directory keeps him. ``since`` is when the fact happened; no ``phone_ref``: he is gone."""

    user_id: int
    phone_ref: int | None
    nickname: str
    avatar: str
    visible: bool
    version: int
    since: datetime


class Entries(Protocol):
    async def apply(self, entry: Entry) -> bool:
        """Keep the entry if it is newer than the one held, and say whether it was."""


class _UserEvent(CloudEvent[UserSnapshot]):
    time: AwareDatetime


class Follower:
    """Applies snapshots of users, in whatever order and however often they come."""

    def __init__(self, entries: Entries, learn: Callable[[Sequence[int]], None]) -> None:
        self._entries = entries
        self._learn = learn

    async def handle(self, body: bytes) -> None:
        """Apply one event. Raises ``PoisonError`` for what can never be one."""
        entry = read(body)
        applied = await self._entries.apply(entry)
        EVENTS.labels("applied" if applied else "stale").inc()
        if applied and entry.visible and entry.phone_ref is not None:
            self._learn([entry.phone_ref])


def read(body: bytes) -> Entry:
    """The entry that an event asks for. Raises ``PoisonError`` without quoting the event."""
    try:
        return _entry(_UserEvent.model_validate_json(body))
    except ValidationError as error:
        raise PoisonError(f"not a user event: {error.error_count()} fields do not fit") from None
    except ValueError as error:
        raise PoisonError(str(error)) from None


def _entry(told: _UserEvent) -> Entry:
    if told.type not in QUEUE.keys:
        raise ValueError("not a kind of event this queue is for")
    if not told.data.user_id.isdecimal() or not 0 <= int(told.data.user_id) < 2**63 or not 0 <= told.version < 2**31:
        raise ValueError("a user id or version out of range")
    if told.type == UserDeleted.key:
        return Entry(int(told.data.user_id), None, "", "", visible=False, version=told.version, since=told.time)
    return _living(told.data, told.version, told.time)


def _living(user: UserSnapshot, version: int, since: datetime) -> Entry:
    if "\0" in user.nickname + user.avatar:
        raise ValueError("a zero byte in a text")
    return Entry(
        user_id=int(user.user_id),
        phone_ref=_ref(user.phone_ref),
        nickname=user.nickname,
        avatar=user.avatar,
        visible=user.discoverable and not user.disabled,
        version=version,
        since=since,
    )


def _ref(text: str) -> int:
    ref = ref_from_hex(text) if len(text) == 16 else None
    if ref is None or ref_hex(ref) != text.lower():
        raise ValueError("not a reference")
    return ref


@contextlib.asynccontextmanager
async def watched(consumer: Consumer, queue: str) -> AsyncIterator[None]:
    """Show in a gauge, and log when it changes, whether the queue is being consumed.

    It is no part of readiness: with the broker away matching still answers, from a directory that waits.
    """
    task = asyncio.create_task(_watch(consumer, queue))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(consumer: Consumer, queue: str) -> None:
    was = True
    while True:
        consuming = await _consuming(consumer)
        CONSUMING.labels(queue).set(consuming)
        if consuming is not was:
            log.warning("consumer.changed", queue=queue, consuming=consuming)
        was = consuming
        await asyncio.sleep(WATCH_SECONDS)


async def _consuming(consumer: Consumer) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await consumer.check()
    except Exception as error:  # noqa: BLE001  whatever the broker's client says, nobody consumes
        log.debug("consumer.unchecked", error=type(error).__name__)
        return False
    return True
