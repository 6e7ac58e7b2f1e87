"""Calls that come close together, answered as one: under load a store is asked for many rows in one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

MAX_BATCH = 256


class Batcher(Generic[Q, A]):
    """``await gather(question)`` answers one of the questions put to ``answer_all`` together.

    No timer holds a call back: one that finds nobody asking goes at once, and those that come meanwhile go together
    when it is done. ``answer_all`` gives the answers in the order of its questions; what it raises, each caller gets.
    """

    def __init__(self, answer_all: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._answer_all = answer_all
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self, question: Q) -> A:
        """The answer to one question."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), context=Context())  # no one caller's
        return await answer

    async def _ask(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                wanted = [(question, waiting) for question, waiting in batch if not waiting.done()]  # some give up
                if wanted:
                    await self._ask_together(wanted)
        finally:
            self._asking = None

    async def _ask_together(self, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._answer_all([question for question, _ in batch])
        except BaseException as error:
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, waiting), answer in zip(batch, answers, strict=True):
            if not waiting.done():  # its caller may have given up
                waiting.set_result(answer)


class KeyedBatcher(Generic[Q, A]):
    """As ``Batcher``, for questions of which no two with a key in common may be asked together.

    (A statement changes a row once.) Whoever finds a key of his question waiting or being asked, asks alone, beside it.
    So does, once more, whoever asked together in vain: a row that is locked for long is not to refuse everybody.
    ``is_rolled_back`` says of an error that nothing has come of the questions that met it.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        keys: Callable[[Q], AbstractSet[Hashable]],
        is_rolled_back: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._answer_all = answer_all
        self._together = Batcher(answer_all)
        self._keys = keys
        self._is_rolled_back = is_rolled_back
        self._taken: set[Hashable] = set()

    async def __call__(self, question: Q) -> A:
        """The answer to one question."""
        keys = self._keys(question)
        if self._taken.isdisjoint(keys):
            self._taken |= keys
            try:
                return await self._together(question)
            except Exception as error:
                if not self._is_rolled_back(error):
                    raise
            finally:
                self._taken -= keys
        (answer,) = await self._answer_all([question])
        return answer
