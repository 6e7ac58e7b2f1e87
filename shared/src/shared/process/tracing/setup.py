"""Whether a process records spans: it does if ``OTEL_EXPORTER_OTLP_ENDPOINT`` names a collector."""

import sys
from typing import Protocol

import structlog

log = structlog.get_logger()

MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: install deploy/requirements/traces.txt"
)


class TraceSettings(Protocol):
    """Where spans go, and the share of the traces that are recorded, from 0 to 1."""

    @property
    def otel_exporter_otlp_endpoint(self) -> str | None: ...
    @property
    def otel_traces_sampler_arg(self) -> float: ...


def record_spans(process: str, settings: TraceSettings, *, decides: bool = False) -> None:
    """Record spans from now on, if the settings name a collector. To be called once every library is imported.

    Otherwise nothing that records spans is imported. Raises ``SystemExit`` if it is missing.
    """
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        return
    try:
        from shared.process.tracing import spans  # noqa: PLC0415  as above
    except ModuleNotFoundError:
        sys.stderr.write(f"{process} cannot start: {MISSING}\n")
        raise SystemExit(2) from None
    spans.record_spans(process, endpoint, settings.otel_traces_sampler_arg, decides=decides)
    log.info("spans.recorded", endpoint=endpoint, share=settings.otel_traces_sampler_arg)
