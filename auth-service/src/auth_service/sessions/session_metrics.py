"""What is counted of log-ins and sessions. No label holds a number, an id or a name of a user."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from shared.errors import ServiceError

LOG_INS = Counter("haoma_log_ins_total", "Log-ins by method, outcome and contract", ["method", "outcome", "dialect"])
OPENED = Counter("haoma_sessions_opened_total", "Sessions by what opened them", ["cause", "dialect"])
ENDED = Counter("haoma_sessions_ended_total", "Sessions that ended before they expired, by cause", ["cause"])


@contextmanager
def counted_log_in(method: str, dialect: str) -> Iterator[None]:
    """Count a log-in by its outcome: ``succeeded``, or the error code that it was refused with."""
    try:
        yield
    except ServiceError as refusal:
        LOG_INS.labels(method, refusal.code.value, dialect).inc()
        raise
    LOG_INS.labels(method, "succeeded", dialect).inc()
