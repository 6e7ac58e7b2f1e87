"""Calls on real connections to a service: our own client is answered directly, everything else by aiohttp."""

import asyncio
import gc
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from types import SimpleNamespace
from uuid import uuid4

import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs
from support.principals import strong_secret

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.calls import Calls
from shared.internal_api.client import InternalClient, TokenRefusedError, internal_client
from shared.internal_api.endpoint import Endpoint, WireModel
from shared.internal_api.principals import Principal
from shared.internal_api.server import new_service
from shared.process.web import FRONT, GOODBYE, Runner, _SilentHandler
from shared.trace import current_cause

MAX_BODY = 1000
TOKEN, OTHER = strong_secret("gateway"), strong_secret("operator")
CALL = (
    "POST /v1/echo HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n"
    "X-Request-Id: r1\r\nContent-Length: {length}\r\n\r\n{body}"
)


class Ask(WireModel):
    text: str


class Told(WireModel):
    text: str
    request_id: str
    traceparent: str


ECHO = Endpoint("/v1/echo", Ask, Told)


class Service:
    """A running service with one call, which waits for ``gate`` if the text says so."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        calls, routes = Calls(), web.RouteTableDef()
        calls.answer(ECHO)(self._echo)
        routes.get("/page")(self._page)
        tokens = {Principal.GATEWAY: SecretStr(TOKEN), Principal.OPERATOR: SecretStr(OTHER)}
        module: object = SimpleNamespace(calls=calls, routes=routes)
        self.app = new_service(tokens, [module], body_bytes=MAX_BODY)  # type: ignore[list-item]
        self.runner = Runner(self.app, access_log=None, keepalive_timeout=30, shutdown_timeout=5)

    async def _echo(self, _: web.Application, call: Ask) -> Told:
        if call.text == "wait":
            self.entered.set()
            await self.gate.wait()
        if call.text == "refuse":
            raise ServiceError(ErrorCode.COOLDOWN, retry_after=42)
        if call.text == "fail":
            raise ZeroDivisionError
        cause = current_cause()
        return Told(text=call.text, request_id=cause.request_id, traceparent=cause.traceparent)

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text="a page")

    async def start(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = self.runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    def raw(self, body: str = '{"text":"hello"}', *, length: int | None = None, token: str = TOKEN) -> str:
        """A call exactly as our client writes it."""
        length = len(body) if length is None else length
        return CALL.format(host=f"127.0.0.1:{self.port}", token=token, length=length, body=body)

    async def exchange(self, *chunks: str) -> str:
        """The first answer on a new connection that sends ``chunks``."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for chunk in chunks:
            writer.write(chunk.encode())
            await writer.drain()
        answer = await read_answer(reader)
        writer.close()
        return answer


async def read_answer(reader: asyncio.StreamReader) -> str:
    """One response with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(re.findall(r"(?i)content-length: ([0-9]+)", head)[0])
    return head + (await reader.readexactly(length)).decode()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    await service.start()
    yield service
    service.gate.set()
    await service.runner.cleanup()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[InternalClient]:
    async with internal_client(service.url, SecretStr(TOKEN)) as client:
        yield client


@pytest.fixture
def without_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each connection that aiohttp takes over fail the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("aiohttp took the connection over")

    monkeypatch.setattr(_SilentHandler, "connection_made", refuse)


@pytest.mark.usefixtures("without_aiohttp")
async def test_our_own_client_is_answered_without_aiohttp(client: InternalClient) -> None:
    for text in ("hello", "你好", "x" * 900):
        assert (await client.call(ECHO, Ask(text=text))).text == text


@pytest.mark.usefixtures("without_aiohttp")
async def test_every_refusal_reaches_our_client(client: InternalClient) -> None:
    expected = {"refuse": (ErrorCode.COOLDOWN, 42), "fail": (ErrorCode.INTERNAL, 1)}
    for text, (code, retry_after) in expected.items():
        with pytest.raises(ServiceError) as refused:
            await client.call(ECHO, Ask(text=text))
        assert (refused.value.code, refused.value.retry_after) == (code, retry_after)


@pytest.mark.usefixtures("without_aiohttp")
@pytest.mark.parametrize("token", [OTHER, strong_secret("unknown"), TOKEN[:-1]])
async def test_another_token_does_not_open_a_call(service: Service, token: str) -> None:
    async with internal_client(service.url, SecretStr(token)) as client:
        with pytest.raises(TokenRefusedError):
            await client.call(ECHO, Ask(text="hello"))


async def test_both_ways_answer_a_call_alike(service: Service) -> None:
    bodies = [
        '{"text":"hello"}',
        '{"text":"refuse"}',
        '{"text":"fail"}',
        '{"text":1}',
        "{",
        '{"text":"a","more":1}',
        "",
    ]
    for token in (TOKEN, OTHER, "unknown"):
        for body in bodies:
            direct = service.raw(body, token=token)
            other = direct.replace("Host:", "host:")
            answers = [await service.exchange(each) for each in (direct, other)]
            statuses = [answer.split(" ")[1] for answer in answers]
            contents = [answer.partition("\r\n\r\n")[2] for answer in answers]
            assert statuses[0] == statuses[1], (token, body)
            assert contents[0] == contents[1] != "", (token, body)


async def test_a_call_belongs_to_the_request_that_caused_it_and_to_no_earlier_one(service: Service) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    traced = service.raw().replace("Content-Length", f"traceparent: {trace}\r\nContent-Length")
    answer = await service.exchange(traced)
    assert f'"request_id":"r1","traceparent":"{trace}"' in answer
    assert '"traceparent":""' in await service.exchange(service.raw())


@pytest.mark.parametrize(
    "alter",
    [
        lambda call: call.replace("HTTP/1.1", "HTTP/1.0"),
        lambda call: call.replace("X-Request-Id: r1", "X-Request-Id: r1\r\nUser-Agent: curl"),
        lambda call: call.replace("Content-Type: application/json\r\n", ""),
        lambda call: call.replace("/v1/echo", "/v1/echo?more=1"),
    ],
)
async def test_what_another_client_writes_is_answered_by_aiohttp(service: Service, alter: Callable[[str], str]) -> None:
    assert '"text":"hello"' in await service.exchange(alter(service.raw()))


async def test_a_chunked_body_is_read_by_aiohttp(service: Service) -> None:
    call = service.raw().replace("Content-Length: 16", "Transfer-Encoding: chunked")
    chunked = call.replace('{"text":"hello"}', '10\r\n{"text":"hello"}\r\n0\r\n\r\n')
    assert '"text":"hello"' in await service.exchange(chunked)


async def test_two_lengths_are_refused(service: Service) -> None:
    doubled = service.raw().replace("Content-Length: 16", "Content-Length: 3\r\nContent-Length: 16")
    assert " 400 " in await service.exchange(doubled)


async def test_a_page_is_served_after_a_call_on_the_same_connection(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(service.raw().encode())
    assert '"text":"hello"' in await read_answer(reader)
    writer.write(b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n")
    assert "a page" in await read_answer(reader)
    writer.close()


@pytest.mark.parametrize("cut", [1, 30, -20, -17, -16, -5, -1])
async def test_a_call_that_arrives_in_two_parts_is_answered(service: Service, cut: int) -> None:
    whole = service.raw()
    assert '"text":"hello"' in await service.exchange(whole[:cut], whole[cut:])


async def test_two_calls_at_once_on_one_connection_are_both_answered(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(service.raw().encode() * 2)
    assert [" 200 " in await read_answer(reader) for _ in range(2)] == [True, True]
    writer.close()


async def test_a_body_that_is_too_long_is_refused(service: Service) -> None:
    body = '{"text":"' + "x" * MAX_BODY + '"}'
    assert " 400 " in await service.exchange(service.raw(body))


async def test_an_unknown_call_is_not_found_with_a_token_and_unauthorised_without(service: Service) -> None:
    unknown = service.raw().replace("/v1/echo", "/v1/echoes")
    assert " 404 " in await service.exchange(unknown)
    assert " 401 " in await service.exchange(unknown.replace(TOKEN, "unknown"))


async def test_a_client_that_hangs_up_in_its_body_is_counted_in_one_line(service: Service) -> None:
    labels = {"route": "/v1/echo"}
    before = REGISTRY.get_sample_value("haoma_requests_aborted_total", labels) or 0
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    with capture_logs() as logged:
        writer.write(service.raw(length=100).encode())
        writer.write_eof()
        assert await reader.read() == b""
    writer.close()
    assert REGISTRY.get_sample_value("haoma_requests_aborted_total", labels) == before + 1
    assert [line["event"] for line in logged] == ["request.aborted"]


async def test_while_the_service_drains_a_call_is_answered_and_its_connection_ends(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(service.raw('{"text":"wait"}').encode())
    await service.entered.wait()
    service.runner.withdraw()
    service.gate.set()
    answer = await reader.read()
    assert b"Connection: close\r\n" in answer
    assert b'"text":"wait"' in answer
    writer.close()


async def test_the_end_waits_for_the_calls_that_run_and_closes_idle_connections_with_last_words(
    service: Service,
) -> None:
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", service.port)
    busy, busy_writer = await asyncio.open_connection("127.0.0.1", service.port)
    busy_writer.write(service.raw('{"text":"wait"}').encode())
    await service.entered.wait()
    ending = asyncio.create_task(service.runner.cleanup())
    assert await idle.read() == GOODBYE
    assert not ending.done()
    service.gate.set()
    assert b'"text":"wait"' in await busy.read()
    await ending
    idle_writer.close()
    busy_writer.close()


async def test_a_call_that_takes_longer_than_the_end_waits_is_cut_off(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(service.raw('{"text":"wait"}').encode())
    await service.entered.wait()
    await service.app[FRONT].shutdown(0)
    assert await reader.read() == b""
    writer.close()


async def test_an_idle_connection_keeps_nothing_of_its_last_call(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    secrets = [f"a password {uuid4()}" for _ in range(2)]
    for secret in secrets:
        writer.write(service.raw(json.dumps({"text": secret})).encode())
        assert secret in await read_answer(reader)

    with closing(writer):
        containers = gc.get_objects()
        kept = (each for container in containers for each in gc.get_referents(container) if isinstance(each, bytes))
        assert not [each for each in kept if any(secret.encode() in each for secret in secrets)]


async def test_an_idle_connection_is_closed() -> None:
    service = Service()
    service.runner = Runner(service.app, access_log=None, keepalive_timeout=0.01)
    await service.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    assert await reader.read() == b""
    writer.close()
    await service.runner.cleanup()
