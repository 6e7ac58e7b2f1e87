"""Spans: none without a collector, and with one they hold nothing private and lead to what they cause."""

import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from shared import trace
from shared.batching import Batcher
from shared.process.tracing.spans import PublicExporter, SpanRecorder
from shared.trace import Cause, begin_cause, current_cause, span

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PARTS = {
    "opentelemetry.sdk.trace",
    "opentelemetry.exporter",
    "opentelemetry.instrumentation",
    "shared.process.tracing.spans",
}
"""What records spans. (redis-py imports the interfaces of metrics where OpenTelemetry is installed.)"""
PROCESSES = ("gateway.app", "auth_service.app", "sms_service.app", "sms_service.worker", "contacts_service.app")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Spans are recorded, and these leave the process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(PublicExporter(exporter)))
    monkeypatch.setattr(trace.TRACING, "tracer", SpanRecorder(provider.get_tracer("test")))
    yield exporter
    provider.shutdown()


@pytest.mark.parametrize("module", PROCESSES)
def test_a_process_without_a_collector_does_not_import_opentelemetry(module: str) -> None:
    program = f"import sys, {module}; print(sorted({PARTS!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_process_whose_collector_is_named_does_not_start_without_opentelemetry() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from shared.process.tracing.setup import record_spans\n"
        "from gateway.settings import GatewaySettings\n"
        "collector = 'http://127.0.0.1:4318'\n"
        "settings = GatewaySettings(environment='development', otel_exporter_otlp_endpoint=collector)\n"
        "record_spans('gateway', settings)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gateway cannot start: OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not")


async def test_without_a_collector_a_span_changes_nothing() -> None:
    begin_cause("request", [PARENT])
    with span("test", "server") as describe:
        describe({"http.response.status_code": 200})
        assert current_cause() == Cause("request", PARENT)


def recording(exporter: InMemorySpanExporter, share: float, *, decides: bool) -> SpanRecorder:
    """A recorder that records a share of the traces, as a process does."""
    chosen = TraceIdRatioBased(share)
    provider = TracerProvider(shutdown_on_exit=False, sampler=chosen if decides else ParentBased(chosen))
    provider.add_span_processor(SimpleSpanProcessor(PublicExporter(exporter)))
    return SpanRecorder(provider.get_tracer("test"), decides=decides)


async def test_in_a_trace_that_is_not_recorded_no_span_is_made(
    exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace.TRACING, "tracer", recording(exported, 1, decides=False))
    begin_cause("request", [PARENT[:-2] + "00"])
    with span("outer", "server") as describe:
        describe({"http.response.status_code": 200})
        with span("inner", "client"):
            assert not is_instrumentation_enabled()
            assert current_cause() == Cause("request", PARENT[:-2] + "00")
    assert is_instrumentation_enabled()
    begin_cause("request", [PARENT])
    with span("next", "server"):
        assert is_instrumentation_enabled()
    assert [each.name for each in exported.get_finished_spans()] == ["next"]


@pytest.mark.parametrize("flags", ["00", "01"])
@pytest.mark.parametrize("share", [0, 1])
async def test_a_process_that_decides_records_its_share_and_does_not_follow_its_client(
    exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, share: int, flags: str
) -> None:
    monkeypatch.setattr(trace.TRACING, "tracer", recording(exported, share, decides=True))
    begin_cause("request", [PARENT[:-2] + flags])
    with span("outer", "server"), span("inner", "client"):
        assert is_instrumentation_enabled() == bool(share)
        assert current_cause().traceparent.endswith(f"-0{share}")
    assert len(exported.get_finished_spans()) == 2 * share


async def test_what_a_span_causes_is_its_child_and_what_follows_is_not(exported: InMemorySpanExporter) -> None:
    begin_cause("request", [PARENT])
    with span("outer", "server"):
        outer = current_cause().traceparent
        with span("inner", "client"):
            inner = current_cause().traceparent
    assert current_cause() == Cause("request", PARENT)

    assert len({PARENT, outer, inner}) == 3
    assert {text[trace.TRACE_ID] for text in (outer, inner)} == {PARENT[trace.TRACE_ID]}
    parents = {each.name: each.parent and format(each.parent.span_id, "016x") for each in exported.get_finished_spans()}
    assert parents == {"outer": "00f067aa0ba902b7", "inner": outer.split("-")[2]}


async def test_a_request_without_a_trace_begins_one(exported: InMemorySpanExporter) -> None:
    begin_cause("request")
    with span("test", "server"):
        assert current_cause().traceparent
    (recorded,) = exported.get_finished_spans()
    assert recorded.parent is None


async def test_an_error_is_recorded_by_its_class_alone(exported: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="13800138000"), span("test", "server"):
        raise ValueError("Key (phone)=(+8613800138000) already exists.")
    (recorded,) = exported.get_finished_spans()
    assert recorded.attributes == {"error.type": "ValueError"}
    assert recorded.events == ()
    assert recorded.status.description is None


async def test_attributes_that_may_be_private_do_not_leave_the_process(exported: InMemorySpanExporter) -> None:
    with span("test", "client") as describe:
        describe({"db.system": "redis", "db.statement": "GET callers:203.0.113.7", "http.url": "/?phone=13800138000"})
    with span("test", "client") as describe:
        describe({"db.system": "postgresql", "db.statement": "select $1", "db.statement.parameters": "13800138000"})
    assert [dict(each.attributes or {}) for each in exported.get_finished_spans()] == [
        {"db.system": "redis"},
        {"db.system": "postgresql", "db.statement": "select $1"},
    ]


@pytest.mark.usefixtures("exported")
async def test_a_batch_is_in_the_trace_of_its_first_caller() -> None:
    async def process(requests: Sequence[int]) -> Sequence[str]:
        return [current_cause().traceparent] * len(requests)

    with span("test", "server"):
        assert await Batcher(process)(1) == current_cause().traceparent
