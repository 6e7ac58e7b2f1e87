"""A body that is sent part by part: whole, or cut where the rest could not be read."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.http.responses import streamed_response
from shared.errors import unavailable


async def fetched(parts: AsyncIterator[bytes]) -> tuple[int, str, bytes]:
    async def handle(request: web.Request) -> web.Response:
        return streamed_response(request, parts, file_name="a.json")

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client, client.get("/") as response:
        return response.status, response.headers["Content-Disposition"], await response.read()


async def test_all_parts_arrive_as_one_body() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b'{"a":[', b"1,2", b"]}"):
            yield part

    assert await fetched(parts()) == (200, 'attachment; filename="a.json"', b'{"a":[1,2]}')


async def test_a_body_whose_rest_cannot_be_read_has_no_end() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"a":['
        raise unavailable()

    with pytest.raises(aiohttp.ClientPayloadError):
        await fetched(parts())
