"""Spans, recorded by OpenTelemetry and sent to a collector. Imported only by a process that records them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, suppress_instrumentation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace import Tracer as OpenTelemetry
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared import trace
from shared.process.version import VERSION

KINDS = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
PUBLIC = frozenset(
    {
        "http.request.method", "http.route", "http.response.status_code", "haoma.dialect", "error.type", "db.system",
        "db.name", "messaging.system", "messaging.destination.name", "net.peer.name", "net.peer.port",
    }
)  # fmt: skip
"""The attributes that leave the process. Libraries add others: arguments, URLs, messages of errors."""
STATEMENT = "db.statement"
"""It leaves for PostgreSQL alone: our statements are constants, and their values are parameters."""

EXPORT_SECONDS = 2.0
"""The limit of sending up to 512 spans. A process that ends waits for what is left, of a silent collector up to five
times so long."""

NOT_RECORDED = "-00"
"""How a traceparent ends whose trace is not recorded."""

_PROPAGATOR = TraceContextTextMapPropagator()


def record_spans(process: str, endpoint: str, share: float, *, decides: bool) -> None:
    """Send spans to ``endpoint`` (OTLP over HTTP). ``share`` of the traces, from 0 to 1, are recorded.

    A process that ``decides`` chooses by the trace id alone: clients cannot choose. The others follow it.
    """
    chosen = TraceIdRatioBased(share)
    resource = Resource.create({"service.namespace": "haoma", "service.name": process, "service.version": VERSION})
    provider = TracerProvider(sampler=chosen if decides else ParentBased(chosen), resource=resource)
    exporter = PublicExporter(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _instrument(provider)
    trace.TRACING.tracer = SpanRecorder(provider.get_tracer("haoma"), decides=decides)


def _instrument(provider: TracerProvider) -> None:
    """Record statements and commands of the libraries that this process has loaded."""
    if "asyncpg" in sys.modules:
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor  # noqa: PLC0415

        AsyncPGInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    if "redis" in sys.modules:
        from opentelemetry.instrumentation.redis import RedisInstrumentor  # noqa: PLC0415

        RedisInstrumentor().instrument(tracer_provider=provider)


class SpanRecorder:
    """``trace.Tracer`` over OpenTelemetry.

    In a trace that is not recorded, it makes no spans, and lets the libraries make none. Otherwise each of them would
    cost nearly what a recorded one does. A recorder that ``decides`` does not believe its client that this is so.
    """

    def __init__(self, tracer: OpenTelemetry, *, decides: bool = False) -> None:
        self._tracer = tracer
        self._decides = decides

    def span(self, name: str, kind: trace.SpanKind, parent: str) -> AbstractContextManager[tuple[str, trace.Describe]]:
        """Record the block, if its trace is recorded."""
        if not parent.endswith(NOT_RECORDED):
            return self._recorded(name, kind, parent)
        if not is_instrumentation_enabled():  # inside of a block that is not recorded
            return nullcontext((parent, trace.ignore))
        return self._recorded(name, kind, parent) if self._decides else _unrecorded(parent)

    @contextmanager
    def _recorded(self, name: str, kind: trace.SpanKind, parent: str) -> Iterator[tuple[str, trace.Describe]]:
        """Record the block, if the sampler says so. An error is recorded by its class: its text may quote a number."""
        context = _PROPAGATOR.extract({trace.TRACEPARENT: parent}, context=Context())
        with self._tracer.start_as_current_span(
            name, context=context, kind=KINDS[kind], record_exception=False, set_status_on_exception=False
        ) as span:
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier)
            if not span.is_recording():
                with _unrecorded(carrier[trace.TRACEPARENT]) as unrecorded:
                    yield unrecorded
                return
            try:
                yield carrier[trace.TRACEPARENT], span.set_attributes
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise


@contextmanager
def _unrecorded(traceparent: str) -> Iterator[tuple[str, trace.Describe]]:
    """A block of which nothing is recorded, and nothing that it causes."""
    with suppress_instrumentation():
        yield traceparent, trace.ignore


class PublicExporter(SpanExporter):
    """Lets only public attributes through to ``exporter``, and no events, which quote errors."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans without what may be private."""
        return self._exporter.export([_public(span) for span in spans])

    def shutdown(self) -> None:
        """Send what is left."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is left."""
        return self._exporter.force_flush(timeout_millis)


def _public(span: ReadableSpan) -> ReadableSpan:
    attributes = span.attributes or {}
    allowed = PUBLIC | ({STATEMENT} if attributes.get("db.system") == "postgresql" else set())
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in attributes.items() if name in allowed},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
