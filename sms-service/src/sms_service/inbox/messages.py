"""The messages of the inbox, in memory: the newest ten thousand. Callers find them by number or wait for them."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from pydantic import Field

from shared.events.envelope import new_id
from shared.internal_api.endpoint import Empty, Endpoint, Number, WireModel
from shared.internal_api.principals import Principal
from shared.internal_api.sms import Purpose
from shared.phone import E164

CAPACITY = 10_000


class NewMessage(WireModel):
    """A message from the sender."""

    to: Number = Field(repr=False)
    text: str = Field(max_length=2000, repr=False)
    code: str = Field(max_length=32, repr=False)
    purpose: Purpose


class NewMessages(WireModel):
    """Messages that are added together."""

    messages: list[NewMessage]


class StoredMessage(NewMessage):
    """A message in the inbox. Ids are UUIDv7, so a later message has a greater id. Times are UTC."""

    id: str
    created_at: datetime


class Messages(WireModel):
    """A page of the inbox, newest first."""

    messages: list[StoredMessage]


PUT_MESSAGES = Endpoint("/inbox/messages", NewMessages, Empty, Principal.SMS_WORKER)


@dataclass
class _Box:
    messages: deque[StoredMessage] = field(default_factory=deque)
    waiting: set[asyncio.Future[StoredMessage | None]] = field(default_factory=set)

    def is_idle(self) -> bool:
        return not self.messages and not self.waiting


class Inbox:
    """A ring of messages. The messages to one number are found without a look at the others."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._all = _Box()
        self._by_number: dict[str, _Box] = {}
        self._state, self._change = str(new_id()), asyncio.Event()

    def put(self, new: NewMessage) -> StoredMessage:
        """Add a message and wake the callers that wait for it. When the ring is full, drop the oldest message."""
        stored = StoredMessage(
            to=new.to, text=new.text, code=new.code, purpose=new.purpose, id=str(new_id()), created_at=datetime.now(UTC)
        )
        for box in (self._all, self._by_number.setdefault(new.to, _Box())):
            box.messages.append(stored)
            for waiter in box.waiting:
                if not waiter.done():
                    waiter.set_result(stored)
        if len(self._all.messages) > self._capacity:
            self._drop_oldest()
        self._changed(stored.id)
        return stored

    def _drop_oldest(self) -> None:
        number = self._all.messages.popleft().to
        self._by_number[number].messages.popleft()
        self._forget_idle(number)

    def newest(self, to: E164 | None, limit: int) -> list[StoredMessage]:
        """Up to ``limit`` messages, to one number or to all, newest first."""
        box = self._box(to)
        return list(islice(reversed(box.messages), limit)) if box else []

    async def latest(self, to: E164 | None, after: str, wait: float) -> StoredMessage | None:
        """The newest message with an id greater than ``after``. Waits for one up to ``wait`` seconds."""
        found = self.newest(to, 1)
        if found and found[0].id > after:
            return found[0]
        return await self._next(to, wait) if wait > 0 else None

    async def _next(self, to: E164 | None, wait: float) -> StoredMessage | None:
        box = self._all if to is None else self._by_number.setdefault(to, _Box())
        arrival: asyncio.Future[StoredMessage | None] = asyncio.get_running_loop().create_future()
        box.waiting.add(arrival)
        try:
            async with asyncio.timeout(wait):
                return await arrival
        except TimeoutError:
            return None
        finally:
            box.waiting.discard(arrival)
            if to is not None:
                self._forget_idle(to)

    def empty(self) -> None:
        """Delete every message. Callers that wait keep waiting."""
        self._all.messages.clear()
        for number, box in list(self._by_number.items()):
            box.messages.clear()
            self._forget_idle(number)
        self._changed(str(new_id()))

    @property
    def count(self) -> int:
        """The number of messages."""
        return len(self._all.messages)

    async def state(self, known: str, wait: float) -> str:
        """A token for the current content, as soon as it differs from ``known``, or after ``wait`` seconds."""
        if self._state == known:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._change.wait()
        return self._state

    def _changed(self, state: str) -> None:
        self._change.set()
        self._state, self._change = state, asyncio.Event()

    def release(self) -> None:
        """Wake all callers that wait, without a message: the process is about to end."""
        for box in (self._all, *self._by_number.values()):
            for waiter in box.waiting:
                if not waiter.done():
                    waiter.set_result(None)
        self._change.set()

    def _box(self, to: E164 | None) -> _Box | None:
        return self._all if to is None else self._by_number.get(to)

    def _forget_idle(self, number: str) -> None:
        box = self._by_number.get(number)
        if box is not None and box.is_idle():
            del self._by_number[number]
