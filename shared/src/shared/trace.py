"""The request that caused what happens: its id, and the W3C trace that it belongs to, if the client names one.

A process records spans if ``OTEL_EXPORTER_OTLP_ENDPOINT`` names a collector. Otherwise it passes on the parent that the
client names (https://www.w3.org/TR/trace-context/).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, Protocol

from shared.values import value

TRACEPARENT = "traceparent"
"""The name of the header, and of the CloudEvents extension attribute (distributed tracing)."""

MAX_LENGTH = 256
TRACE_ID = slice(3, 35)
"""Where a value in version 00 has its trace id, 32 hex digits."""

_TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})"
    r"-(?P<known>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})"
    r"(?P<more>-[!-~]*)?"
)


@value
class Cause:
    """The request that caused something. Both texts are empty if no request did, or none is known."""

    request_id: str = ""
    traceparent: str = ""


SpanKind = Literal["server", "client", "producer", "consumer"]
Describe = Callable[[Mapping[str, str | int]], None]
"""Adds attributes to a span, by the names of OpenTelemetry's conventions. None may have a private value."""


class Tracer(Protocol):
    """Records spans."""

    def span(self, name: str, kind: SpanKind, parent: str) -> AbstractContextManager[tuple[str, Describe]]:
        """Record the block as a child of the traceparent ``parent``, or as a new trace. Gives its own traceparent."""


class Tracing:
    """Where this process records spans, if it does."""

    tracer: Tracer | None = None


TRACING = Tracing()
NO_CAUSE = Cause()
_NO_FIELDS: Mapping[str, str] = MappingProxyType({})
_cause: ContextVar[Cause] = ContextVar("cause", default=NO_CAUSE)
_log_fields: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=_NO_FIELDS)


def current_cause() -> Cause:
    """The request that this task works for."""
    return _cause.get()


def log_fields() -> Mapping[str, str]:
    """What every log line of this task has: ``request_id`` and ``trace_id``, as far as there are any."""
    return _log_fields.get()


def begin_cause(request_id: str, traceparents: Sequence[str] = ()) -> None:
    """Work for this request from now on. Log lines carry its id and, if it has a valid trace, a ``trace_id``.

    ``traceparents`` are the values of the header. An invalid one is ignored, and so are several of them.
    """
    traceparent = parse_traceparent(traceparents[0]) if len(traceparents) == 1 else None
    _cause.set(Cause(request_id, traceparent or ""))
    fields = {"request_id": request_id}
    if traceparent:
        fields["trace_id"] = traceparent[TRACE_ID]
    _log_fields.set(fields)


def span(name: str, kind: SpanKind) -> AbstractContextManager[Describe]:
    """Record what the block does, if this process records spans. What it causes is a child of the span, anywhere."""
    return _NOT_RECORDED if TRACING.tracer is None else _recorded(TRACING.tracer, name, kind)


def producing(queue: str) -> AbstractContextManager[object]:
    """Record that the block makes a message for a queue or with a routing key. What it leads to is a child."""
    return _NOT_RECORDED if TRACING.tracer is None else _described("create", queue, "producer")


def consuming(queue: str, cause: Cause) -> AbstractContextManager[object]:
    """Work from now on for the request that caused a message of this queue, and record the block."""
    begin_cause(cause.request_id, [cause.traceparent])
    return _NOT_RECORDED if TRACING.tracer is None else _described("process", queue, "consumer")


@contextmanager
def _described(verb: str, queue: str, kind: SpanKind) -> Iterator[None]:
    with span(f"{verb} {queue}", kind) as describe:
        describe({"messaging.system": "rabbitmq", "messaging.destination.name": queue})
        yield


@contextmanager
def _recorded(tracer: Tracer, name: str, kind: SpanKind) -> Iterator[Describe]:
    cause = _cause.get()
    with tracer.span(name, kind, cause.traceparent) as (traceparent, describe):
        token = _cause.set(replace(cause, traceparent=traceparent))
        _log_fields.set({**_log_fields.get(), "trace_id": traceparent[TRACE_ID]})
        try:
            yield describe
        finally:
            _cause.reset(token)


def ignore(attributes: Mapping[str, str | int]) -> None:
    """Describe a span that is not recorded."""


_NOT_RECORDED = nullcontext(ignore)


def parse_traceparent(text: str) -> str | None:
    """The value in version 00, or None for an invalid one.

    Of a later version, which may have more parts, only the four known ones are passed on.
    """
    match = _TRACEPARENT.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None or (match["version"] == "00" and match["more"] is not None):
        return None
    return f"00-{match['known']}"
