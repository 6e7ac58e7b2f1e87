"""Batching: calls that arrive while a statement runs share the next statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from shared.trace import TRACING

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")

MAX_BATCH = 256


class Batcher(Generic[RequestT, ResultT]):
    """``await batcher(request)`` returns the result of one request of a batch that ``process`` handles together.

    No timer delays a call. A call that finds no batch running starts one at once; calls that arrive meanwhile form the
    next batch. ``process`` returns one result for each request, in their order. What it raises, every caller of the
    batch receives.
    """

    def __init__(self, process: Callable[[Sequence[RequestT]], Awaitable[Sequence[ResultT]]]) -> None:
        self._process = process
        self._waiting: list[tuple[RequestT, asyncio.Future[ResultT], Context | None]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, request: RequestT) -> ResultT:
        """The result of one request."""
        result: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, result, copy_context() if TRACING.tracer else None))
        if self._running is None:
            self._running = asyncio.create_task(self._run(), context=Context())  # the batch belongs to many callers
        return await result

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                pending = [(request, result) for request, result, _ in batch if not result.done()]
                if pending and (context := batch[0][2]) is not None:  # it is in the trace of its first caller
                    await asyncio.create_task(self._process_batch(pending), context=context)
                elif pending:
                    await self._process_batch(pending)
        finally:
            self._running = None

    async def _process_batch(self, batch: Sequence[tuple[RequestT, asyncio.Future[ResultT]]]) -> None:
        try:
            values = await self._process([request for request, _ in batch])
        except BaseException as error:
            for _, result in batch:
                if not result.done():
                    result.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, result), value in zip(batch, values, strict=True):
            if not result.done():  # its caller may have been cancelled
                result.set_result(value)


class KeyedBatcher(Generic[RequestT, ResultT]):
    """A ``Batcher`` whose batches hold no two requests with a common key: a statement can change a row only once.

    A call runs on its own, in its caller's task, if no other is pending, or if its key is. If a batch is rolled back,
    each of its calls is retried once on its own, so one locked row cannot fail the others. ``is_rolled_back`` tells
    whether an error means that the batch changed nothing.
    """

    def __init__(
        self,
        process: Callable[[Sequence[RequestT]], Awaitable[Sequence[ResultT]]],
        keys: Callable[[RequestT], AbstractSet[Hashable]],
        is_rolled_back: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._process = process
        self._batcher = Batcher(process)
        self._keys = keys
        self._is_rolled_back = is_rolled_back
        self._pending_keys: set[Hashable] = set()

    async def __call__(self, request: RequestT) -> ResultT:
        """The result of one request."""
        keys, is_alone = self._keys(request), not self._pending_keys
        if self._pending_keys.isdisjoint(keys):
            self._pending_keys |= keys
            try:
                return await (self._alone(request) if is_alone else self._batcher(request))
            except Exception as error:
                if not self._is_rolled_back(error):
                    raise
            finally:
                self._pending_keys -= keys
        return await self._alone(request)

    async def _alone(self, request: RequestT) -> ResultT:
        (result,) = await self._process([request])
        return result
