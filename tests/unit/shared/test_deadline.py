"""A deadline counts the time of a loop that runs."""

import asyncio
import socket
import time

import pytest

from shared.deadline import Deadline


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
