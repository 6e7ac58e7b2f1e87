"""Acknowledge what was handled on a channel: as many messages in one frame as became done together."""

import asyncio
from collections.abc import Awaitable

import structlog
from aio_pika.exceptions import AMQPError
from aiormq.abc import AbstractChannel

log = structlog.get_logger()


class Acks:
    """The unsettled deliveries of one channel. Dies with it: what was not acknowledged comes again."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._done: dict[int, bool] = {}  # by delivery tag, in the order in which they came
        self._flushing: asyncio.Task[None] | None = None

    def begin(self, tag: int) -> None:
        """A delivery has come."""
        self._done[tag] = False

    def done(self, tag: int) -> None:
        """It was handled: acknowledge it soon."""
        self._done[tag] = True
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def give_back(self, tag: int) -> None:
        """It was not handled: let the broker deliver it again."""
        del self._done[tag]
        await self._try(self._channel.basic_nack(tag, requeue=True, wait=False))

    async def flushed(self) -> None:
        """Wait until everything that is done has been acknowledged."""
        if self._flushing is not None:
            await self._flushing

    async def _flush(self) -> None:
        self._flushing = None
        upto = self._take_leading()
        scattered = [tag for tag, done in self._done.items() if done]
        for tag in scattered:
            del self._done[tag]
        if upto:
            await self._ack(upto, multiple=True)
        for tag in scattered:
            await self._ack(tag, multiple=False)

    def _take_leading(self) -> int:
        """Take out the done ones that nobody unfinished precedes. The last one's tag, or 0."""
        upto = 0
        for tag, done in list(self._done.items()):
            if not done:
                break
            del self._done[tag]
            upto = tag
        return upto

    async def _ack(self, tag: int, *, multiple: bool) -> None:
        await self._try(self._channel.basic_ack(tag, multiple=multiple, wait=False))

    async def _try(self, saying: Awaitable[object]) -> None:
        try:
            await saying
        except (AMQPError, OSError, RuntimeError) as error:
            log.info("message.unsettled", error=type(error).__name__)
