"""Calls that come close together are answered as one, each with its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.batching import MAX_BATCH, Batcher, KeyedBatcher


class Store:
    """Answers each number with its double, when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        await self.may_answer.wait()
        if 13 in numbers:
            raise ConnectionError("the store is away")
        return [number * 2 for number in numbers]


async def asking_alone(store: Store, gather: Batcher[int, int]) -> asyncio.Task[int]:
    """A question (1) that is being asked until the store may answer: whoever comes now has to wait."""
    store.may_answer.clear()
    first = asyncio.create_task(gather(1))
    while not store.asked:
        await asyncio.sleep(0)
    return first


async def test_a_lone_call_goes_at_once() -> None:
    store = Store()
    assert await Batcher(store.double)(4) == 8
    assert store.asked == [[4]]


async def test_calls_that_come_while_one_is_asked_go_together_and_each_gets_its_own_answer() -> None:
    store = Store()
    gather = Batcher(store.double)
    first = await asking_alone(store, gather)
    others = [asyncio.create_task(gather(number)) for number in range(2, 7)]
    await asyncio.sleep(0)
    store.may_answer.set()

    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
    assert store.asked == [[1], [2, 3, 4, 5, 6]]


async def test_a_failure_is_everyones_and_the_next_call_is_asked_anew() -> None:
    store = Store()
    gather = Batcher(store.double)
    outcomes = await asyncio.gather(gather(13), gather(1), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]
    assert await gather(5) == 10


async def test_a_caller_who_gives_up_does_not_disturb_the_others() -> None:
    store = Store()
    gather = Batcher(store.double)
    store.may_answer.clear()
    impatient, patient = asyncio.create_task(gather(1)), asyncio.create_task(gather(2))
    while not store.asked:
        await asyncio.sleep(0)
    impatient.cancel()
    store.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await patient == 4


async def test_no_batch_is_larger_than_the_largest() -> None:
    store = Store()
    gather = Batcher(store.double)
    await asyncio.gather(*(gather(100 + number) for number in range(MAX_BATCH * 2 + 1)))
    assert max(map(len, store.asked)) <= MAX_BATCH


async def test_a_question_nobody_waits_for_any_more_is_not_asked() -> None:
    store = Store()
    gather = Batcher(store.double)
    first = await asking_alone(store, gather)
    impatient, patient = asyncio.create_task(gather(2)), asyncio.create_task(gather(3))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    store.may_answer.set()

    assert await asyncio.gather(first, patient) == [2, 6]
    assert store.asked == [[1], [3]]


async def test_questions_with_a_key_in_common_are_never_asked_together() -> None:
    store = Store()
    apart = KeyedBatcher(store.double, lambda number: {number % 10})
    store.may_answer.clear()
    asking = [asyncio.create_task(apart(number)) for number in (1, 2, 3, 12, 22, 4)]
    while len(store.asked) < 3:
        await asyncio.sleep(0)
    store.may_answer.set()

    assert await asyncio.gather(*asking) == [2, 4, 6, 24, 44, 8]
    assert sorted(store.asked) == [[1, 2, 3, 4], [12], [22]]


async def test_a_key_is_free_again_when_its_question_was_answered_failed_or_given_up() -> None:
    store = Store()
    apart = KeyedBatcher(store.double, lambda number: {number % 10})
    await apart(2)
    with pytest.raises(ConnectionError):
        await apart(13)
    store.may_answer.clear()
    given_up = asyncio.create_task(apart(4))
    while store.asked[-1] != [4]:
        await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    store.may_answer.set()

    assert await asyncio.gather(*map(apart, (12, 23, 14))) == [24, 46, 28]
    assert store.asked[-1] == [12, 23, 14]


async def test_who_asked_together_in_vain_asks_once_more_alone() -> None:
    store = Store()
    apart = KeyedBatcher(store.double, lambda number: {number}, lambda error: isinstance(error, ConnectionError))
    outcomes = await asyncio.gather(apart(1), apart(13), apart(2), return_exceptions=True)
    assert outcomes[::2] == [2, 4]
    assert isinstance(outcomes[1], ConnectionError)
    assert store.asked[0] == [1, 13, 2]
    assert sorted(store.asked[1:]) == [[1], [2], [13]]


async def test_what_may_have_been_done_is_not_asked_again() -> None:
    store = Store()
    apart = KeyedBatcher(store.double, lambda number: {number}, lambda error: isinstance(error, TimeoutError))
    outcomes = await asyncio.gather(apart(1), apart(13), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError, ConnectionError]
    assert store.asked == [[1, 13]]
