"""The client of Redis: what it waits for at start, and which connections it drops."""

import asyncio
from collections.abc import Iterator

import pytest
from redis.asyncio import Connection, Redis
from redis.exceptions import BusyLoadingError

from shared import redis
from shared.errors import ErrorCode, ServiceError
from shared.process import startup
from shared.process.host_names import HostNames
from shared.redis.connections import NamedConnection


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "FIRST_DELAY_SECONDS", 0.001)


async def test_a_start_waits_for_a_server_that_resets_refuses_or_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: Iterator[Exception] = iter(
        [
            RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
            ConnectionResetError(),
            BusyLoadingError("loading the data set"),
            TimeoutError(),
        ]
    )

    async def ping(_: Redis) -> bool:
        for error in errors:
            raise error
        return True

    monkeypatch.setattr(Redis, "ping", ping)
    async with redis.client("redis://127.0.0.1:1/0") as client:
        assert await client.ping()
    assert next(errors, None) is None


@pytest.mark.parametrize(
    ("error", "connections"),
    [
        (b"-READONLY You can't write against a read only replica.", 3),
        (b"-MASTERDOWN Link with MASTER is down.", 3),
        (b"-ERR a bug of the script", 1),
    ],
)
async def test_a_demoted_server_is_left_so_that_its_name_can_lead_to_the_new_one(
    error: bytes, connections: int
) -> None:
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer +OK to what redis-py sends first, a digest to SCRIPT LOAD, and the error to EVALSHA."""
        nonlocal accepted
        accepted += 1
        while words := int((await reader.readline() or b"*0")[1:]):
            command = [await bulk(reader) for _ in range(words)]
            answers = {b"EVALSHA": error, b"SCRIPT": b"+digest", b"HELLO": b"-ERR unknown command", b"PING": b"+PONG"}
            writer.write(answers.get(command[0].upper(), b"+OK") + b"\r\n")
        writer.close()

    async def bulk(reader: asyncio.StreamReader) -> bytes:
        length = int((await reader.readline())[1:])
        return (await reader.readexactly(length + 2))[:-2]

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"
    async with redis.client(address) as client:
        script = redis.Script(client, "contacts_service", "lua/budget.lua")
        for _ in range(3):
            with pytest.raises(ServiceError) as refusal:
                await script(["key"], ["argument"])
            assert refusal.value.code is ErrorCode.UNAVAILABLE
    server.close()
    assert accepted == connections


@pytest.mark.parametrize(
    "command",
    [
        ("EVALSHA", "0" * 40, 2, "{callers:x}:a", "键", 10, 0.5, b"\x00\xff\r\n", ""),
        ("SCRIPT LOAD", "#!lua\nreturn 1"),
        ("PING",),
        ("SET", b"k" * 20_000, b"v" * 20_000),
    ],
)
def test_a_command_is_written_as_redis_py_writes_it(command: tuple[str | int | float | bytes, ...]) -> None:
    ours = NamedConnection(names=HostNames())
    assert b"".join(ours.pack_command(*command)) == b"".join(Connection().pack_command(*command))
