"""Sessions on PostgreSQL open outside of calls: a call gets the first connection that comes, opened or returned."""

import asyncio
from typing import Any

import pytest

from shared.errors import ServiceError
from shared.postgres import Pool, connection


class Session:
    """A connection that works."""

    def __init__(self, closing: asyncio.Barrier | None = None) -> None:
        self.closed = self.is_silent = False
        self._closing = closing or asyncio.Barrier(1)

    async def fetchval(self, query: str) -> int:
        return len(query)

    async def close(self, *, timeout: float) -> None:
        assert timeout
        if self.is_silent:
            raise TimeoutError
        await self._closing.wait()
        self.closed = True

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return False

    def terminate(self) -> None:
        self.closed = True


class Server:
    """Opens a connection when the test lets it: the look-up of its name stalls until then."""

    def __init__(self) -> None:
        self.openings: list[asyncio.Future[Any]] = []

    async def connect(self) -> Any:
        opening = asyncio.get_running_loop().create_future()
        self.openings.append(opening)
        return await opening

    async def has_openings(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.openings) < count:
                await asyncio.sleep(0)

    async def open(self, number: int) -> Session:
        await self.has_openings(number + 1)
        session = Session()
        self.openings[number].set_result(session)
        return session


async def opened(server: Server, pool: Pool) -> Session:
    """The pool's first connection, in use."""
    first = asyncio.create_task(pool.acquire())
    session = await server.open(0)
    assert await first is session
    return session


async def test_a_call_gets_a_connection_that_is_returned_while_a_look_up_stalls() -> None:
    server = Server()
    pool = Pool(server.connect, size=2)
    session = await opened(server, pool)
    call = asyncio.create_task(pool.fetchval("select 1"))
    await server.has_openings(2)

    pool.release(session, intact=True)

    assert await call
    assert not server.openings[1].done()
    await pool.close()


async def test_what_opened_for_a_call_that_gave_up_serves_the_next() -> None:
    server = Server()
    pool = Pool(server.connect, size=2)
    with pytest.raises(ServiceError):
        async with connection(pool, seconds=0.01):
            pytest.fail("there is no connection")

    call = asyncio.create_task(pool.fetchval("select 1"))
    await server.open(0)

    assert await call
    assert len(server.openings) == 1
    await pool.close()


async def test_calls_that_give_up_again_and_again_leave_no_more_openings_than_calls_at_once() -> None:
    server = Server()
    pool = Pool(server.connect, size=3)

    async def give_up() -> None:
        with pytest.raises(ServiceError):
            async with connection(pool, seconds=0.01):
                pytest.fail("there is no connection")

    for _ in range(20):
        await asyncio.gather(*(give_up() for _ in range(3)))

    assert len(server.openings) == 3
    await pool.close()


async def test_a_call_that_gives_up_as_its_connection_comes_passes_it_on() -> None:
    server = Server()
    pool = Pool(server.connect, size=1)
    call = asyncio.create_task(pool.acquire())
    await server.has_openings(1)
    server.openings[0].set_result(Session())
    await asyncio.sleep(0)  # the opening runs, and the call has not yet

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert await pool.fetchval("select 1")
    assert len(server.openings) == 1
    await pool.close()


async def test_an_opening_that_fails_refuses_the_call_that_waited_longest_only() -> None:
    server = Server()
    pool = Pool(server.connect, size=2)
    first, second = (asyncio.create_task(pool.fetchval("select 1")) for _ in range(2))
    await server.has_openings(2)

    server.openings[1].set_exception(ConnectionRefusedError())
    with pytest.raises(ServiceError):
        await first
    await server.open(0)

    assert await second
    await pool.close()


async def test_there_are_never_more_sessions_than_the_pool_may_have() -> None:
    server = Server()
    pool = Pool(server.connect, size=2)
    one = await opened(server, pool)
    calls = [asyncio.create_task(pool.acquire()) for _ in range(4)]
    await server.has_openings(2)
    pool.release(one, intact=True)
    await server.open(1)
    for call in calls:
        pool.release(await call, intact=True)

    assert len(server.openings) == 2
    await pool.close()


async def test_closing_the_pool_ends_its_openings() -> None:
    server = Server()
    pool = Pool(server.connect, size=1)
    with pytest.raises(ServiceError):
        async with connection(pool, seconds=0.01):
            pytest.fail("there is no connection")

    await pool.close()

    assert server.openings[0].cancelled()


async def test_the_connections_of_a_silent_server_are_closed_all_at_once() -> None:
    closing = asyncio.Barrier(3)
    sessions = [Session(closing) for _ in range(3)]
    unopened = iter(sessions)

    async def connect() -> Any:
        return next(unopened)

    pool = Pool(connect, size=3)
    for session in [await pool.acquire() for _ in sessions]:
        pool.release(session, intact=True)

    async with asyncio.timeout(10):
        await pool.close()

    assert all(session.closed for session in sessions)


async def test_a_connection_that_comes_back_while_the_others_close_is_closed_too() -> None:
    server = Server()
    pool = Pool(server.connect, size=2)
    sessions = [await opened(server, pool)]
    second = asyncio.create_task(pool.acquire())
    sessions.append(await server.open(1))
    await second
    pool.release(sessions[0], intact=True)

    closing = asyncio.create_task(pool.close())
    while not sessions[0].closed:
        await asyncio.sleep(0)
    pool.release(sessions[1], intact=True)
    await closing

    assert sessions[1].closed


async def test_a_connection_of_a_silent_server_is_dropped() -> None:
    server = Server()
    pool = Pool(server.connect, size=1)
    session = await opened(server, pool)
    session.is_silent = True
    pool.release(session, intact=True)

    await pool.close()

    assert session.closed
