"""A deadline counts the time of a loop that runs."""

import asyncio
import socket
import time

import pytest

from shared.deadline import Deadline, TimeLimit


async def test_without_an_answer_it_ends_in_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(0.01):
            await asyncio.Event().wait()


async def test_an_answer_that_arrived_while_the_process_got_no_cpu_counts() -> None:
    near, far = socket.socketpair()
    near.settimeout(0)
    with near, far:
        async with Deadline(0.1):
            answer = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(near, 8))
            await asyncio.sleep(0)
            far.send(b"answer")
            time.sleep(0.5)
            assert await answer == b"answer"


async def test_what_is_raised_inside_passes_through() -> None:
    with pytest.raises(LookupError):
        async with Deadline(10):
            raise LookupError


async def test_a_block_that_is_late_ends_in_a_timeout_and_the_others_go_on() -> None:
    limit, others = TimeLimit(0.05), TimeLimit(30)
    with others():
        with pytest.raises(TimeoutError), limit():
            await asyncio.Event().wait()
        with pytest.raises(TimeoutError), limit():  # the timer of the first one is gone
            await asyncio.Event().wait()
    await asyncio.sleep(0)  # nothing is left of the cancellation


async def test_each_block_has_its_own_time() -> None:
    limit = TimeLimit(0.05)
    ended: list[str] = []

    async def wait(name: str) -> None:
        with pytest.raises(TimeoutError), limit():
            await asyncio.Event().wait()
        ended.append(name)

    first = asyncio.create_task(wait("first"))
    await asyncio.sleep(0)
    with limit():
        pass
    await asyncio.gather(first, wait("second"))
    assert ended == ["first", "second"]


async def test_a_cancelled_block_is_cancelled_and_not_late() -> None:
    async def wait() -> None:
        with TimeLimit(30)():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_block_that_is_late_and_cancelled_from_outside_is_cancelled() -> None:
    limit, entered = TimeLimit(30), asyncio.Event()

    async def wait() -> None:
        with limit() as _:
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await entered.wait()
    (block,) = limit._blocks
    block.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_a_late_block_raises_itself_passes_through() -> None:
    async def give_up() -> None:
        with TimeLimit(0.01)():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise LookupError from None

    with pytest.raises(LookupError):
        await give_up()
