"""Calls that arrive while a batch runs share the next batch, and each gets its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.batching import MAX_BATCH, Batcher, KeyedBatcher


class Store:
    """Doubles each number of a batch as soon as the test allows it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_finish = asyncio.Event()
        self.may_finish.set()

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.may_finish.wait()
        if 13 in numbers:
            raise ConnectionError("the store is unavailable")
        return [number * 2 for number in numbers]


async def running_batch(store: Store, batcher: Batcher[int, int]) -> asyncio.Task[int]:
    """Start a batch with the request 1 that runs until the store may finish. Later calls wait for the next batch."""
    store.may_finish.clear()
    first = asyncio.create_task(batcher(1))
    while not store.batches:
        await asyncio.sleep(0)
    return first


async def outcomes_beside(store: Store, batcher: KeyedBatcher[int, int], *numbers: int) -> list[int | BaseException]:
    """What calls come to that are made while the call 0 is pending, which runs alone."""
    store.may_finish.clear()
    calls = [asyncio.create_task(batcher(number)) for number in (0, *numbers)]
    while len(store.batches) < 2:
        await asyncio.sleep(0)
    store.may_finish.set()
    return (await asyncio.gather(*calls, return_exceptions=True))[1:]


async def test_a_single_call_runs_at_once() -> None:
    store = Store()
    assert await Batcher(store.double)(4) == 8
    assert store.batches == [[4]]


async def test_calls_during_a_batch_share_the_next_one_and_each_gets_its_own_result() -> None:
    store = Store()
    batcher = Batcher(store.double)
    first = await running_batch(store, batcher)
    others = [asyncio.create_task(batcher(number)) for number in range(2, 7)]
    await asyncio.sleep(0)
    store.may_finish.set()

    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
    assert store.batches == [[1], [2, 3, 4, 5, 6]]


async def test_a_failure_fails_the_whole_batch_and_not_the_next_call() -> None:
    store = Store()
    batcher = Batcher(store.double)
    outcomes = await asyncio.gather(batcher(13), batcher(1), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]
    assert await batcher(5) == 10


async def test_a_cancelled_call_does_not_affect_the_others() -> None:
    store = Store()
    batcher = Batcher(store.double)
    store.may_finish.clear()
    impatient, patient = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
    while not store.batches:
        await asyncio.sleep(0)
    impatient.cancel()
    store.may_finish.set()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await patient == 4


async def test_the_size_of_a_batch_is_limited() -> None:
    store = Store()
    batcher = Batcher(store.double)
    await asyncio.gather(*(batcher(100 + number) for number in range(MAX_BATCH * 2 + 1)))
    assert max(map(len, store.batches)) <= MAX_BATCH


async def test_the_request_of_a_cancelled_call_is_not_processed() -> None:
    store = Store()
    batcher = Batcher(store.double)
    first = await running_batch(store, batcher)
    impatient, patient = asyncio.create_task(batcher(2)), asyncio.create_task(batcher(3))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    store.may_finish.set()

    assert await asyncio.gather(first, patient) == [2, 6]
    assert store.batches == [[1], [3]]


async def test_requests_with_a_common_key_are_never_in_one_batch() -> None:
    store = Store()
    batcher = KeyedBatcher(store.double, lambda number: {number % 10})
    store.may_finish.clear()
    calls = [asyncio.create_task(batcher(number)) for number in (1, 2, 3, 12, 22, 4)]
    while len(store.batches) < 4:
        await asyncio.sleep(0)
    store.may_finish.set()

    assert await asyncio.gather(*calls) == [2, 4, 6, 24, 44, 8]
    assert sorted(store.batches) == [[1], [2, 3, 4], [12], [22]]


async def test_a_call_with_keys_runs_in_its_own_task_while_no_other_is_pending() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def double(numbers: Sequence[int]) -> list[int]:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        return [2 * number for number in numbers]

    batcher = KeyedBatcher(double, lambda number: {number})
    calls = [asyncio.create_task(batcher(number)) for number in (1, 2, 3)]
    assert await asyncio.gather(*calls) == [2, 4, 6]
    assert tasks[0] is calls[0]
    assert len(tasks) == 2
    assert tasks[1] not in calls
    assert await batcher(1) == 2
    assert tasks[2] is asyncio.current_task()


async def test_a_call_that_was_alone_and_rolled_back_is_retried_once() -> None:
    store = Store()
    batcher = KeyedBatcher(store.double, lambda number: {number}, lambda error: isinstance(error, ConnectionError))
    with pytest.raises(ConnectionError):
        await batcher(13)
    assert store.batches == [[13], [13]]


async def test_a_key_is_released_when_its_call_succeeds_fails_or_is_cancelled() -> None:
    store = Store()
    batcher = KeyedBatcher(store.double, lambda number: {number % 10})
    await batcher(2)
    with pytest.raises(ConnectionError):
        await batcher(13)
    store.may_finish.clear()
    cancelled = asyncio.create_task(batcher(4))
    while store.batches[-1] != [4]:
        await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    store.may_finish.set()

    store.batches.clear()
    assert await outcomes_beside(store, batcher, 12, 23, 14) == [24, 46, 28]
    assert store.batches == [[0], [12, 23, 14]]


async def test_calls_of_a_batch_that_was_rolled_back_are_retried_once_on_their_own() -> None:
    store = Store()
    batcher = KeyedBatcher(store.double, lambda number: {number}, lambda error: isinstance(error, ConnectionError))
    outcomes = await outcomes_beside(store, batcher, 1, 13, 2)
    assert outcomes[::2] == [2, 4]
    assert isinstance(outcomes[1], ConnectionError)
    assert store.batches[:2] == [[0], [1, 13, 2]]
    assert sorted(store.batches[2:]) == [[1], [2], [13]]


async def test_a_batch_that_may_have_changed_something_is_not_retried() -> None:
    store = Store()
    batcher = KeyedBatcher(store.double, lambda number: {number}, lambda error: isinstance(error, TimeoutError))
    outcomes = await outcomes_beside(store, batcher, 1, 13)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]
    assert store.batches == [[0], [1, 13]]
