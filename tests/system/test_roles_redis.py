"""Valkey: which keys and commands the role of each service has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from stack.system import Stack

OWN_KEYS = {"sms-service": "{callers:203.0.113.0/24}:sends", "contacts-service": "contacts:0123"}
OTHER_KEYS = {"sms-service": ["contacts:0123", "x"], "contacts-service": ["{callers:203.0.113.0/24}:sends", "x"]}
FORBIDDEN = (
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "MONITOR",
    "ACL LIST",
    "ACL SETUSER sms_service +@all",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "INFO",
    "SHUTDOWN NOSAVE",
    "REPLICAOF 127.0.0.1 1",
    "SCRIPT FLUSH",
    "EVAL return(1) 0",
    "SELECT 1",
    "DBSIZE",
    "BGSAVE",
)


@asynccontextmanager
async def client(url: str | None) -> AsyncIterator[Redis]:
    assert url is not None
    async with Redis.from_url(url) as opened:
        yield opened


@pytest.mark.parametrize("process", OWN_KEYS)
async def test_a_service_cannot_touch_the_keys_of_another(servers: Stack, process: str) -> None:
    async with client(servers.servers.redis.url_as(process)) as opened:
        read = await opened.script_load("return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))")
        words = ["GET"] if process == "sms-service" else ["HMGET", "a"]
        await opened.evalsha(read, 1, OWN_KEYS[process], *words)
        for key in OTHER_KEYS[process]:
            for command in (["GET"], ["DEL"], ["HMGET", "a"], ["SET", "1"], ["HSET", "a", "1"]):
                with pytest.raises(NoPermissionError):
                    await opened.execute_command(command[0], key, *command[1:])
                with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission"):
                    await opened.evalsha(read, 1, key, *command)


@pytest.mark.parametrize("process", OWN_KEYS)
async def test_a_service_cannot_run_a_command_that_it_does_not_use(servers: Stack, process: str) -> None:
    async with client(servers.servers.redis.url_as(process)) as opened:
        for command in FORBIDDEN:
            with pytest.raises(NoPermissionError):
                await opened.execute_command(*command.split())


async def test_a_script_cannot_reach_a_key_that_it_does_not_name(servers: Stack) -> None:
    async with client(servers.servers.redis.url_as("contacts-service")) as opened:
        script = await opened.script_load("return redis.call('HMGET', '{callers:203.0.113.0/24}:sends', 'a')")
        with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission"):
            await opened.evalsha(script, 0)


async def test_a_client_without_a_role_can_do_nothing(servers: Stack) -> None:
    server = servers.servers.redis
    address = server.url.rpartition("@")[2]
    async with client(f"redis://{address}") as nameless:
        with pytest.raises(AuthenticationError):
            await nameless.ping()
    async with client(f"redis://health:any@{address}") as health:
        assert await health.ping()
        for command in ("GET contacts:0123", "INFO", "SCRIPT LOAD return(1)"):
            with pytest.raises(NoPermissionError):
                await health.execute_command(*command.split())
