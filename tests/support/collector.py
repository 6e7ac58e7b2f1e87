"""A collector of OpenTelemetry for tests: it receives spans over HTTP and keeps them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from stack import ports


@dataclass(frozen=True)
class Span:
    """A span as it arrived. Times are in nanoseconds."""

    process: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    started: int
    ended: int
    attributes: dict[str, Any]
    events: int
    status_message: str


@dataclass
class Collector:
    """Where it listens, and the spans that arrived."""

    url: str
    spans: list[Span] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, complete: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans, as soon as they are complete. Raises ``TimeoutError``."""
        async with asyncio.timeout(60), self._arrived:
            await self._arrived.wait_for(lambda: complete(self.spans))
        return list(self.spans)

    async def receive(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await request.read())
        async with self._arrived:
            self.spans += _spans(message)
            self._arrived.notify_all()
        return web.Response(content_type="application/x-protobuf")


def _spans(message: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            process=_attributes(resource.resource.attributes)["service.name"],
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            started=span.start_time_unix_nano,
            ended=span.end_time_unix_nano,
            attributes=_attributes(span.attributes),
            events=len(span.events),
            status_message=span.status.message,
        )
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector that listens on 127.0.0.1 until the block ends."""
    port = ports.free_port()
    collector = Collector(f"http://127.0.0.1:{port}")
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield collector
    finally:
        await runner.cleanup()
