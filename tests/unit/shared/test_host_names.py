"""Addresses of host names: the newest, or the last known while a look-up stalls or fails."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from shared.process.host_names import HostNames

LookUp = Callable[[], list[str]]


class NameServer:
    """Answers the look-ups of this process."""

    def __init__(self) -> None:
        self.answer: LookUp = lambda: ["192.0.2.1"]
        self.asked = 0

    def look_up(self, _host: str, port: int, *_arguments: Any, **_options: Any) -> list[Any]:
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.answer()]


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> NameServer:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.look_up)
    return server


def failing(error: int) -> LookUp:
    def look_up() -> list[str]:
        raise socket.gaierror(error, "the name server's text")

    return look_up


async def test_each_connection_gets_the_newest_addresses(name_server: NameServer) -> None:
    names = HostNames()
    assert await names.addresses("auth.test", 80) == ["192.0.2.1"]
    name_server.answer = lambda: ["192.0.2.2", "192.0.2.3"]
    assert await names.addresses("auth.test", 80) == ["192.0.2.2", "192.0.2.3"]


async def test_a_name_server_that_fails_for_now_leaves_the_last_addresses(name_server: NameServer) -> None:
    names = HostNames()
    await names.addresses("auth.test", 80)
    name_server.answer = failing(socket.EAI_AGAIN)
    assert await names.addresses("auth.test", 80) == ["192.0.2.1"]


async def test_a_name_that_exists_no_more_has_no_address(name_server: NameServer) -> None:
    names = HostNames()
    await names.addresses("auth.test", 80)
    name_server.answer = failing(socket.EAI_NONAME)
    with pytest.raises(socket.gaierror):
        await names.addresses("auth.test", 80)


async def test_a_name_that_was_never_found_has_no_address(name_server: NameServer) -> None:
    name_server.answer = failing(socket.EAI_AGAIN)
    with pytest.raises(socket.gaierror):
        await HostNames().addresses("auth.test", 80)


async def test_a_name_is_looked_up_once_at_a_time(name_server: NameServer) -> None:
    names = HostNames()
    await asyncio.gather(*(names.addresses("auth.test", 80) for _ in range(20)))
    assert name_server.asked == 1
