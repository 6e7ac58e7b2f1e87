"""The consumer of user events: keeps each user's directory entry as the newest event describes it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from prometheus_client import Counter
from pydantic import AwareDatetime, ValidationError

from shared.amqp import PoisonError, Queue
from shared.events.catalogue import UserDeleted, UserRegistered, UserRetired, UserSnapshot, UserUpdated
from shared.events.envelope import CloudEvent
from shared.phone import ref_from_hex, ref_hex
from shared.trace import NO_CAUSE, Cause, consuming

QUEUE = Queue("contacts.directory", (UserRegistered.key, UserUpdated.key, UserDeleted.key, UserRetired.key))

EVENTS = Counter("haoma_directory_events_total", "User events received", ["outcome"])


@dataclass(frozen=True)
class DirectoryEntry:
    """A user in the directory. ``occurred_at`` is the time of the event.

    ``cause`` is the request that led to it.

    A user who was deleted or retired has no ``phone_ref``. ``freed_ref`` is the number that they had; it is not stored.
    """

    user_id: int
    phone_ref: int | None
    nickname: str
    avatar: str
    visible: bool
    version: int
    occurred_at: datetime
    freed_ref: int | None = None
    cause: Cause = field(default=NO_CAUSE, compare=False)


class DirectoryRepository(Protocol):
    async def apply(self, entry: DirectoryEntry) -> bool:
        """Store the entry if it is newer than the stored one. Returns whether it was."""


class _UserEvent(CloudEvent[UserSnapshot]):
    time: AwareDatetime


class DirectoryUpdater:
    """Applies user events to the directory. They may arrive in any order and more than once.

    ``forget_lookups`` forgets the numbers that the user of a freed number has looked up.
    """

    def __init__(
        self,
        directory: DirectoryRepository,
        add_to_filter: Callable[[Sequence[int]], None],
        forget_lookups: Callable[[int], Awaitable[None]],
    ) -> None:
        self._directory = directory
        self._add_to_filter = add_to_filter
        self._forget_lookups = forget_lookups

    async def handle(self, body: bytes) -> None:
        """Apply one event. Raises ``PoisonError`` for a message that is not a user event."""
        entry = read(body)
        with consuming(QUEUE.name, entry.cause):
            await self._apply(entry)

    async def _apply(self, entry: DirectoryEntry) -> None:
        applied = await self._directory.apply(entry)
        EVENTS.labels("applied" if applied else "stale").inc()
        if applied and entry.visible and entry.phone_ref is not None:
            self._add_to_filter([entry.phone_ref])
        if entry.freed_ref is not None:
            await self._forget_lookups(entry.freed_ref)


def read(body: bytes) -> DirectoryEntry:
    """The directory entry of an event. Raises ``PoisonError``, whose text does not quote the event."""
    try:
        return _entry(_UserEvent.model_validate_json(body))
    except ValidationError as error:
        raise PoisonError(f"not a user event: {error.error_count()} invalid fields") from None
    except ValueError as error:
        raise PoisonError(str(error)) from None


def _entry(event: _UserEvent) -> DirectoryEntry:
    user_id, version = event.data.user_id, event.version
    if event.type not in QUEUE.keys:
        raise ValueError("an event type that this queue does not consume")
    if not user_id.isdecimal() or not 0 <= int(user_id) < 2**63 or not 0 <= version < 2**31:
        raise ValueError("a user id or version out of range")
    entry_of = _deleted_entry if event.type in {UserDeleted.key, UserRetired.key} else _active_entry
    cause = Cause(event.requestid or "", event.traceparent or "")
    return replace(entry_of(event.data, version, event.time), cause=cause)


def _deleted_entry(user: UserSnapshot, version: int, occurred_at: datetime) -> DirectoryEntry:
    return DirectoryEntry(
        user_id=int(user.user_id),
        phone_ref=None,
        nickname="",
        avatar="",
        visible=False,
        version=version,
        occurred_at=occurred_at,
        freed_ref=_ref(user.phone_ref) if user.phone_ref else None,
    )


def _active_entry(user: UserSnapshot, version: int, occurred_at: datetime) -> DirectoryEntry:
    if "\0" in user.nickname + user.avatar:
        raise ValueError("a zero byte in the nickname or avatar")
    return DirectoryEntry(
        user_id=int(user.user_id),
        phone_ref=_ref(user.phone_ref),
        nickname=user.nickname,
        avatar=user.avatar,
        visible=user.discoverable and not user.disabled,
        version=version,
        occurred_at=occurred_at,
    )


def _ref(text: str) -> int:
    ref = ref_from_hex(text) if len(text) == 16 else None
    if ref is None or ref_hex(ref) != text.lower():
        raise ValueError("not a phone reference")
    return ref
