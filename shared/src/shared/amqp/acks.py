"""Acknowledgements of one channel. Deliveries that finish together are acknowledged in as few frames as possible."""

import asyncio
from collections.abc import Awaitable

import structlog
from aio_pika.exceptions import AMQPError
from aiormq.abc import AbstractChannel

log = structlog.get_logger()


class Acks:
    """The unsettled deliveries of one channel. When the channel ends, the broker delivers them again."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._done: dict[int, bool] = {}  # by delivery tag, in the order of delivery
        self._flushing: asyncio.Task[None] | None = None

    def begin(self, tag: int) -> None:
        """Record a new delivery."""
        self._done[tag] = False

    def done(self, tag: int) -> None:
        """Acknowledge a handled delivery with the next flush."""
        self._done[tag] = True
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def requeue(self, tag: int) -> None:
        """Return a delivery that was not handled: the broker delivers it again."""
        del self._done[tag]
        await self._try(self._channel.basic_nack(tag, requeue=True, wait=False))

    async def flushed(self) -> None:
        """Wait until every handled delivery is acknowledged."""
        if self._flushing is not None:
            await self._flushing

    async def _flush(self) -> None:
        self._flushing = None
        last_leading = self._take_leading()
        scattered = [tag for tag, done in self._done.items() if done]
        for tag in scattered:
            del self._done[tag]
        if last_leading:
            await self._ack(last_leading, multiple=True)
        for tag in scattered:
            await self._ack(tag, multiple=False)

    def _take_leading(self) -> int:
        """Remove the handled deliveries before the first unhandled one. Returns the tag of the last of them, or 0."""
        last = 0
        for tag, done in list(self._done.items()):
            if not done:
                break
            del self._done[tag]
            last = tag
        return last

    async def _ack(self, tag: int, *, multiple: bool) -> None:
        await self._try(self._channel.basic_ack(tag, multiple=multiple, wait=False))

    async def _try(self, sending: Awaitable[object]) -> None:
        try:
            await sending
        except (AMQPError, OSError, RuntimeError) as error:
            log.info("acknowledgement.failed", error=type(error).__name__)
