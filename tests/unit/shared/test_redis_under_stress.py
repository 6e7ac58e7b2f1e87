"""Redis answers, but the look-up of its name stalls, its connections open slowly, or the process gets no CPU."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.resp_server import RespServer, resp_server

from shared import redis
from shared.errors import ErrorCode, ServiceError

NAME = "redis.test"


@pytest.fixture
def server() -> Iterator[RespServer]:
    with resp_server() as server:
        yield server


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The name leads to this machine while the event is set. While it is not, look-ups stall."""
    answering = threading.Event()
    answering.set()
    look_up = socket.getaddrinfo

    def stalling(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != NAME:
            return look_up(host, *arguments, **options)
        answering.wait()
        return look_up("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", stalling)
    yield answering
    answering.set()


async def call_until_served(script: redis.Script) -> int:
    """Call until Redis is available; returns how many calls were refused."""
    refused = 0
    async with asyncio.timeout(30):
        while True:
            try:
                await script(["key"], [])
            except ServiceError as error:
                assert error.code is ErrorCode.UNAVAILABLE
                refused += 1
            else:
                return refused


async def test_calls_are_served_while_the_look_up_of_the_name_stalls(
    server: RespServer, look_ups: threading.Event
) -> None:
    async with redis.client(f"redis://{NAME}:{server.port}/0?protocol=2") as client:
        script = redis.Script(client, "contacts_service", "lua/budget.lua")
        look_ups.clear()
        server.end_connections()
        await call_until_served(script)
        assert not look_ups.is_set()
        look_ups.set()


async def test_a_connection_that_opens_later_than_a_call_may_take_serves_the_calls_after_it(server: RespServer) -> None:
    refusals = threading.Semaphore(0)

    def wait_for_two_refusals(command: bytes) -> None:
        if command == b"CLIENT" and threading.current_thread() not in opened:
            opened.add(threading.current_thread())
            assert all(refusals.acquire(timeout=20) for _ in range(2))

    async with redis.client(f"redis://127.0.0.1:{server.port}/0?protocol=2") as client:
        script = redis.Script(client, "contacts_service", "lua/budget.lua")
        opened: set[threading.Thread] = set()
        server.before = wait_for_two_refusals
        server.end_connections()
        async with asyncio.timeout(30):
            while True:
                try:
                    await script(["key"], [])
                    break
                except ServiceError:
                    refusals.release()


async def test_an_answer_that_arrived_in_time_counts_although_the_process_got_no_cpu(server: RespServer) -> None:
    loop = asyncio.get_running_loop()
    starving = threading.Event()

    def starve() -> None:
        starving.set()
        time.sleep(1)

    def answer_a_starved_process(command: bytes) -> None:
        if command == b"EVALSHA":
            starving.clear()
            loop.call_soon_threadsafe(starve)
            assert starving.wait(20)

    async with redis.client(f"redis://127.0.0.1:{server.port}/0?protocol=2") as client:
        script = redis.Script(client, "contacts_service", "lua/budget.lua")
        server.before = answer_a_starved_process
        for _ in range(3):
            await script(["key"], [])
    assert len(server.accepted) == 1
