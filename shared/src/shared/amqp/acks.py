"""Acknowledgements of one channel. Deliveries that finish together are acknowledged in as few frames as possible."""

import asyncio
from collections.abc import Awaitable

import structlog
from aio_pika.exceptions import AMQPError
from aiormq.abc import AbstractChannel

log = structlog.get_logger()


class Acks:
    """The unsettled deliveries of one channel. When the channel ends, the broker delivers them again.

    One task writes all frames, one after the other. The broker takes an acknowledgement of several deliveries as one of
    each that is unsettled and not younger, so no frame of an older delivery may come after it: aiormq's queue of frames
    is short, and a caller who waits for a place in it is overtaken.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._handled: dict[int, bool | None] = {}  # by delivery tag, in the order of delivery; None is in progress
        self._writing: asyncio.Task[None] | None = None

    def begin(self, tag: int) -> None:
        """Record a new delivery."""
        self._handled[tag] = None

    def settle(self, tag: int, *, handled: bool) -> None:
        """Acknowledge a handled delivery with the next frames, or return it: the broker delivers it again."""
        self._handled[tag] = handled
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def written(self) -> None:
        """Wait until every settled delivery is acknowledged or returned."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        try:
            while any(handled is not None for handled in self._handled.values()):
                await self._write_settled()
        finally:
            self._writing = None

    async def _write_settled(self) -> None:
        last_leading = self._take_leading()
        others = {tag: handled for tag, handled in self._handled.items() if handled is not None}
        for tag in others:
            del self._handled[tag]
        if last_leading:
            await self._try(self._channel.basic_ack(last_leading, multiple=True, wait=False))
        for tag, handled in others.items():
            if handled:
                await self._try(self._channel.basic_ack(tag, wait=False))
            else:
                await self._try(self._channel.basic_nack(tag, requeue=True, wait=False))

    def _take_leading(self) -> int:
        """Remove the handled deliveries before the first that is not. Returns the tag of the last of them, or 0."""
        last = 0
        for tag, handled in list(self._handled.items()):
            if not handled:
                break
            del self._handled[tag]
            last = tag
        return last

    async def _try(self, sending: Awaitable[object]) -> None:
        try:
            await sending
        except (AMQPError, OSError, RuntimeError) as error:
            log.info("acknowledgement.failed", error=type(error).__name__)
