"""The HTTP client between our processes: it reuses connections, and repeats only what the other side did not read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.client import InternalClient
from shared.internal_api.endpoint import Empty
from shared.internal_api.replies import problem
from shared.internal_api.sms import LIST_RECEIPT_SENDERS
from shared.internal_api.upstream import Upstream, upstream
from shared.trace import Cause

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@asynccontextmanager
async def raw_server(serve: Callable[[Reader, Writer], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that sends raw bytes."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: Reader, writer: Writer) -> None:
        tasks.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def request_of(reader: Reader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def response(body: bytes, *, status: str = "200 OK", extra: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + extra + b"\r\n" + body


class Refusing:
    """Refuses each call, as our services do."""

    def __init__(self, error: ServiceError) -> None:
        self._error = error

    async def post(self, path: str, body: bytes, cause: Cause, *, repeatable: bool) -> tuple[int, bytes]:  # noqa: ARG002  the port names them
        refusal = problem(self._error)
        return refusal.status, refusal.body


@pytest.mark.parametrize(
    "error",
    [
        ServiceError(ErrorCode.COOLDOWN, retry_after=42),
        ServiceError(ErrorCode.PARAMETER_MISSING, field="phone"),
        ServiceError(ErrorCode.CODE_REFUSED),
        ServiceError(ErrorCode.CODE_REFUSED, tries_left=0),
        ServiceError(ErrorCode.CODE_REFUSED, is_limited=True),
    ],
    ids=str,
)
async def test_a_refusal_crosses_to_the_caller_as_it_is(error: ServiceError) -> None:
    with pytest.raises(ServiceError) as refusal:
        await InternalClient(Refusing(error)).call(LIST_RECEIPT_SENDERS, Empty())
    assert vars(refusal.value) == vars(error)


async def test_connections_to_our_servers_are_reused() -> None:
    peers = set()

    async def echo(request: web.Request) -> web.Response:
        peers.add(request.transport.get_extra_info("peername"))
        assert request.headers["X-Request-Id"] == "id-1"
        assert request.headers["Authorization"] == "Bearer x"
        return web.Response(body=await request.read(), status=201)

    app = web.Application()
    app.router.add_post("/echo", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with upstream(url, {"Authorization": "Bearer x"}) as service:
            for size in (0, 1, 100_000):
                assert await service.post("/echo", b"z" * size, Cause("id-1")) == (201, b"z" * size)
            assert len(peers) == 1
            await asyncio.gather(*(service.post("/echo", b"z", Cause("id-1")) for _ in range(5)))
            assert 1 < len(peers) <= 5
    finally:
        await runner.cleanup()


async def test_a_response_in_pieces_is_assembled() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await request_of(reader)
        for byte in response(b"hello"):
            writer.write(bytes([byte]))
            await writer.drain()

    async with raw_server(serve) as url, upstream(url, {}) as service:
        assert await service.post("/", b"", Cause()) == (200, b"hello")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        response(b"hello")[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"x" * 20_000,
    ],
    ids=["nothing", "half a head", "half a body", "chunks", "a huge response", "no HTTP", "an endless head"],
)
async def test_a_broken_response_is_a_connection_error_and_the_request_is_not_repeated(sent: bytes) -> None:
    requests = []

    async def serve(reader: Reader, writer: Writer) -> None:
        requests.append(await request_of(reader))
        writer.write(sent)
        await writer.drain()

    async with raw_server(serve) as url, upstream(url, {}) as service:
        with pytest.raises(ConnectionError):
            await service.post("/", b"", Cause())
    assert len(requests) == 1


async def test_a_connection_closed_by_the_server_is_not_reused() -> None:
    connections = []

    async def serve(reader: Reader, writer: Writer) -> None:
        connections.append(1)
        await request_of(reader)
        writer.write(response(b"bye", extra=b"Connection: close\r\n"))
        await writer.drain()

    async with raw_server(serve) as url, upstream(url, {}) as service:
        for _ in range(3):
            assert await service.post("/", b"", Cause()) == (200, b"bye")
    assert len(connections) == 3


async def test_a_late_response_is_never_given_to_the_next_request() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        number = (await request_of(reader))[-1:]
        if number == b"1":
            await reader.read()  # silent until the client is gone
        else:
            writer.write(response(number))
            await writer.drain()

    async with raw_server(serve) as url, upstream(url, {}) as service:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await service.post("/", b"1", Cause())
        assert await service.post("/", b"2", Cause()) == (200, b"2")


async def test_a_closed_port_is_an_error_at_once() -> None:
    with pytest.raises(ConnectionRefusedError):
        await Upstream("http://127.0.0.1:1", {}).post("/", b"", Cause())


async def test_a_call_that_fails_is_a_warning_and_a_ping_that_fails_is_not() -> None:
    """Pings go on for as long as a service is away, and what changes is logged (``backend.changed``)."""
    client = InternalClient(Upstream("http://127.0.0.1:1", {}))
    with capture_logs() as lines:
        for call in (client.call(LIST_RECEIPT_SENDERS, Empty()), client.ping()):
            with pytest.raises(ServiceError):
                await call
    assert [(line["path"], line["log_level"]) for line in lines] == [
        (LIST_RECEIPT_SENDERS.path, "warning"),
        ("/v1/ping", "debug"),
    ]


NOT_READ = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


async def test_a_request_that_a_leaving_server_did_not_read_is_sent_again() -> None:
    requests = []

    async def serve(reader: Reader, writer: Writer) -> None:
        requests.append(await request_of(reader))
        writer.write(NOT_READ if len(requests) == 1 else response(b"done"))
        await writer.drain()

    async with raw_server(serve) as url, upstream(url, {}) as service:
        assert await service.post("/", b"once", Cause()) == (200, b"done")
    assert requests[0] == requests[1]


async def test_last_words_on_an_idle_connection_end_it_and_the_next_request_takes_another() -> None:
    left = asyncio.Event()
    connections = []

    async def serve(reader: Reader, writer: Writer) -> None:
        connections.append(1)
        await request_of(reader)
        writer.write(response(b"one"))
        await left.wait()
        writer.write(NOT_READ)
        await writer.drain()

    async with raw_server(serve) as url, upstream(url, {}) as service:
        assert await service.post("/", b"", Cause()) == (200, b"one")
        left.set()
        assert await service.post("/", b"", Cause()) == (200, b"one")
    assert len(connections) == 2


@pytest.mark.parametrize(("repeatable", "sends"), [(False, 1), (True, 2)])
async def test_only_a_call_without_effect_is_repeated_when_its_connection_is_lost(repeatable: bool, sends: int) -> None:
    requests = []

    async def serve(reader: Reader, writer: Writer) -> None:
        requests.append(await request_of(reader))
        if len(requests) == 2:
            writer.write(response(b"done"))
            await writer.drain()

    async with raw_server(serve) as url, upstream(url, {}) as service:
        if repeatable:
            assert await service.post("/", b"", Cause(), repeatable=True) == (200, b"done")
        else:
            with pytest.raises(ConnectionError):
                await service.post("/", b"", Cause())
    assert len(requests) == sends


async def test_a_server_that_always_loses_the_connection_is_an_error_after_three_requests() -> None:
    requests = []

    async def serve(reader: Reader, writer: Writer) -> None:  # noqa: ARG001  it closes
        requests.append(await request_of(reader))

    async with raw_server(serve) as url, upstream(url, {}) as service:
        with pytest.raises(ConnectionError):
            await service.post("/", b"", Cause(), repeatable=True)
    assert len(requests) == 3


def test_a_replica_that_ends_its_connections_is_tried_after_the_others() -> None:
    service = Upstream("http://service:1", {})
    service._avoid("10.0.0.1")
    orders = {tuple(service._order(["10.0.0.1", "10.0.0.2", "10.0.0.3"])) for _ in range(100)}
    assert {order[-1] for order in orders} == {"10.0.0.1"}
    assert len(orders) == 2
