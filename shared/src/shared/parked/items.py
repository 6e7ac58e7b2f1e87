"""What is parked in a service, wherever it is: listed, shown, replayed and dropped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import structlog

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.operators.parked import (
    MAX_ITEMS,
    DropParked,
    ListParked,
    ParkedItem,
    ParkedItems,
    ReplayParked,
    Settled,
    SettleRequest,
    ShownItem,
    ShowParked,
)
from shared.phone import hide_numbers

log = structlog.get_logger()


@dataclass(frozen=True)
class Content:
    """A parked item with its body."""

    item: ParkedItem
    body: bytes = field(repr=False)


class ParkedSource(Protocol):
    """A place where something is parked. What is settled is gone: settling it again counts 0."""

    async def list(self, limit: int) -> Sequence[ParkedItem]:
        """The oldest items."""

    async def count(self) -> int:
        """How many are parked."""

    async def show(self, item_id: UUID) -> Content | None:
        """The item with its body; None if it is not parked here."""

    async def replay(self, ids: Sequence[UUID], limit: int, *, everything: bool) -> int:
        """Let these, or the oldest, be handled again. Returns how many."""

    async def drop(self, ids: Sequence[UUID], limit: int, *, everything: bool) -> int:
        """Delete these, or the oldest. Returns how many."""


class ParkedDesk:
    """What operators do with what is parked. ``wake`` tells the relay that there are messages in the outbox."""

    def __init__(self, sources: Sequence[ParkedSource], wake: Callable[[], None]) -> None:
        self._sources = sources
        self._wake = wake

    async def list(self, request: ListParked) -> ParkedItems:
        """The oldest items of all places."""
        found = [_shown(item, request) for source in self._sources for item in await source.list(MAX_ITEMS)]
        oldest = sorted(found, key=lambda item: (item.since, item.id))[:MAX_ITEMS]
        return ParkedItems(items=oldest, total=await self._count())

    async def show(self, request: ShowParked) -> ShownItem:
        """One item. Raises ``NOT_FOUND``."""
        for source in self._sources:
            if content := await source.show(request.id):
                text = content.body.decode(errors="replace") if request.sees_numbers else None
                return ShownItem(**_shown(content.item, request).model_dump(), content=text)
        raise ServiceError(ErrorCode.NOT_FOUND)

    async def replay(self, request: ReplayParked) -> Settled:
        """Let the items be handled again."""
        settled = 0
        for source in self._sources:
            settled += await source.replay(request.ids, MAX_ITEMS - settled, everything=request.everything)
        self._wake()
        return await self._settled("parked.replayed", request, settled)

    async def drop(self, request: DropParked) -> Settled:
        """Delete the items."""
        settled = 0
        for source in self._sources:
            settled += await source.drop(request.ids, MAX_ITEMS - settled, everything=request.everything)
        return await self._settled("parked.dropped", request, settled)

    async def _settled(self, fact: str, request: SettleRequest, settled: int) -> Settled:
        log.warning(fact, operator=request.operator, settled=settled)
        return Settled(settled=settled, left=await self._count())

    async def _count(self) -> int:
        return sum([await source.count() for source in self._sources])


def _shown(item: ParkedItem, request: ListParked | ShowParked) -> ParkedItem:
    """The item as the operator may see it. A reason is a text of ours, or the name of an error."""
    return item if request.sees_numbers else item.model_copy(update={"reason": hide_numbers(item.reason)})
