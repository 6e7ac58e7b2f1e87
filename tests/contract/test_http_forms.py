"""HTTP as clients and proxies write it: each form of a request gets the same answer, and an ambiguous one is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from stack.system import Stack

CALL = "/v2/verifications/check"
BODY = b'{"phone":"13712345678","purpose":"sign_up","code":"12"}'
"""A code that is malformed: the answer is 403 as soon as the request is read."""
JSON = b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
PLAIN = JSON + LENGTH + b"\r\n" + BODY
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
HALVES = b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n"


def post(path: str = CALL, rest: bytes = PLAIN, *, version: str = "1.1", host: bytes = b"Host: a.example\r\n") -> bytes:
    return f"POST {path} HTTP/{version}\r\n".encode() + host + rest


class ClientConnection:
    """A connection to the gateway that sends bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def responses(self, request: bytes, count: int = 1) -> list[tuple[int, dict[str, str], Any]]:
        """Send a request and read responses: status, headers in lower case, and the body."""
        self._writer.write(request)
        async with asyncio.timeout(30):
            return [await self._response(has_body=not request.startswith(b"HEAD")) for _ in range(count)]

    async def ends(self) -> bool:
        """Whether the gateway closes the connection without another byte."""
        async with asyncio.timeout(30):
            return await self._reader.read() == b""

    async def _response(self, *, has_body: bool) -> tuple[int, dict[str, str], Any]:
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await self._reader.readexactly(int(headers.get("content-length", "0")) if has_body else 0)
        return int(status.split()[1]), headers, json.loads(raw) if raw else None


@pytest.fixture
async def connection(system: Stack) -> AsyncIterator[ClientConnection]:
    address = urlsplit(system.url("gateway"))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    yield ClientConnection(reader, writer)
    writer.close()


FORMS = {
    "plain": post(),
    "chunked": post(rest=CHUNKED + b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
    "chunked in two": post(rest=CHUNKED + HALVES),
    "chunked with extensions and a trailer": post(
        rest=CHUNKED + b"%x;a=b\r\n" % len(BODY) + BODY + b"\r\n0\r\nX: 1\r\n\r\n"
    ),
    "HTTP/1.0": post(version="1.0"),
    "HTTP/1.0 without Host": post(version="1.0", host=b""),
    "HTTP/1.0 with keep-alive": post(version="1.0", rest=b"Connection: keep-alive\r\n" + PLAIN),
    "Connection: close": post(rest=b"Connection: close\r\n" + PLAIN),
    "Proxy-Connection": post(rest=b"Proxy-Connection: keep-alive\r\n" + PLAIN),
    "an upgrade to HTTP/2 that is not taken": post(rest=b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + PLAIN),
    "a percent-encoded path": post(CALL.replace("check", "%63h%65ck")),
    "a query on a POST": post(f"{CALL}?_t=1700000000"),
    "an empty query": post(f"{CALL}?"),
    "a query that cannot be decoded": post(f"{CALL}?%ZZ=%FF&a"),
    "an absolute address": post(f"http://a.example{CALL}"),
    "an absolute address with a port": post(f"https://id.example.com:443{CALL}?a=1"),
    "an empty line in front": b"\r\n" + post(),
    "headers in other alphabets": post(rest="User-Agent: 好码/1.0\r\n".encode() + b"X-Name: caf\xe9\r\n" + PLAIN),
    "header names in lower case": post(rest=PLAIN.replace(b"Content", b"content")),
    "spaces around values": post(
        rest=b"Content-Type:\t application/json  \r\nContent-Length:%d\r\n\r\n" % len(BODY) + BODY
    ),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_a_request_is_read(connection: ClientConnection, form: str) -> None:
    ((status, _, body),) = await connection.responses(FORMS[form])
    assert (status, body["code"]) == (403, "code_refused")


async def test_a_client_that_waits_for_100_continue_gets_it_before_it_sends_its_body(
    connection: ClientConnection,
) -> None:
    first, second = await connection.responses(post(rest=b"Expect: 100-continue\r\n" + PLAIN), count=2)
    assert (first[0], second[0]) == (100, 403)


async def test_a_connection_of_http_1_0_stays_open_if_the_client_asks_for_it(connection: ClientConnection) -> None:
    kept = post(version="1.0", rest=b"Connection: keep-alive\r\n" + PLAIN)
    first, second = await connection.responses(kept * 2, count=2)
    assert (first[0], second[0]) == (403, 403)
    assert first[1]["connection"] == "keep-alive"


async def test_requests_that_come_at_once_are_answered_in_order(connection: ClientConnection) -> None:
    first, second = await connection.responses(post() + post("/v2/nothing"), count=2)
    assert (first[0], second[0]) == (403, 404)


@pytest.mark.parametrize(
    "path",
    [
        *("//v2/verifications/check", "/v2//verifications/check", f"{CALL}/", "/V2/Verifications/check"),
        *("/v2/./verifications/check", "/v2/x/../verifications/check", "/v2%2Fverifications/check", f"{CALL};a=1"),
        *(f"{CALL}%20", f"{CALL}%00", f"{CALL}%0a", "/v2/%E4%BC%9A%E8%AF%9D", "/v2/" + "a" * 2000),
    ],
    ids=lambda path: path[:30],
)
async def test_another_spelling_of_a_path_is_another_path(connection: ClientConnection, path: str) -> None:
    ((status, _, body),) = await connection.responses(post(path))
    assert (status, body["code"]) == (404, "not_found")


AMBIGUOUS = {
    "both lengths": post(rest=LENGTH + CHUNKED + HALVES),
    "two lengths": post(rest=b"Content-Length: 5\r\n" + PLAIN),
    "two hosts": post(rest=b"Host: b.example\r\n" + PLAIN),
    "two types": post(rest=b"Content-Type: text/plain\r\n" + PLAIN),
    "a space before the colon": post(rest=b"X : 1\r\n" + PLAIN),
    "a folded header": post(rest=b"X: 1\r\n  2\r\n" + PLAIN),
    "a negative length": post(rest=JSON + b"Content-Length: -1\r\n\r\n" + BODY),
    "a length with a sign": post(rest=JSON + b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY),
    "a chunk of no size": post(rest=CHUNKED + b"x\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "bare line feeds": post().replace(b"\r\n", b"\n"),
    "a method in lower case": post().replace(b"POST", b"post"),
    "a path that is not ASCII": post("/v2/会话"),
    "HTTP/2 without an upgrade": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("form", AMBIGUOUS)
async def test_a_request_that_two_servers_could_read_differently_is_refused(
    connection: ClientConnection, form: str
) -> None:
    ((status, _, body),) = await connection.responses(AMBIGUOUS[form])
    assert (status, body["code"]) == (400, "parameter_invalid")
    assert await connection.ends()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "TRACE", "PROPFIND", "OPTIONS", "LINK"])
async def test_a_method_that_a_call_does_not_take_is_405_and_names_those_it_takes(
    connection: ClientConnection, method: str
) -> None:
    ((status, headers, _),) = await connection.responses(
        f"{method} {CALL} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode()
    )
    assert status == 405
    assert headers["allow"] == "POST"


async def test_a_malformed_header_of_a_form_is_quoted_in_no_log(connection: ClientConnection, system: Stack) -> None:
    part = b'--X\r\nContent-Disposition: form-data; name="phone"; hunter2 13712345678\r\n\r\n1\r\n--X--\r\n'
    head = b"Content-Type: multipart/form-data; boundary=X\r\nContent-Length: %d\r\n\r\n" % len(part)
    ((status, _, _),) = await connection.responses(post(rest=head + part))
    assert status == 400
    assert "hunter2" not in system.services["gateway"].logs()
