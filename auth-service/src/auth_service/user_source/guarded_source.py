"""The user source behind its guards: a rate, a circuit breaker, and the metrics."""

import math
from collections.abc import Callable
from typing import Protocol

import structlog

from auth_service.user_source.model import Field, SourceFailedError
from auth_service.user_source.request_rate import RequestRate
from auth_service.user_source.source_metrics import CIRCUIT_OPEN, DURATION, REQUESTS
from shared.errors import ServiceError, unavailable
from shared.outbound.circuit_breaker import CircuitBreaker

FAILURES = 5
"""The number of failures in a row that opens the circuit breaker."""
OPEN_SECONDS = 10.0
"""How long the source is not asked then."""

log = structlog.get_logger()


class Source(Protocol):
    async def fetch(self, field: Field, value: str) -> bytes | None:
        """The line of the user who has this number or name; None for none. Raises ``SourceFailedError``."""


class GuardedSource:
    """Asks the source, and spares it while it fails. Every trouble is an outage: it never counts as "no such user"."""

    def __init__(self, source: Source, rate: RequestRate, breaker: CircuitBreaker) -> None:
        self._source = source
        self._rate = rate
        self._breaker = breaker

    async def fetch(self, field: Field, value: str) -> bytes | None:
        """The line of the user who has this number or name; None if the source has no such user.

        Raises ``ServiceError(UNAVAILABLE)`` if it cannot tell, or is not asked.
        """
        if not self._rate.allows():
            raise _not_asked("shed", 1)
        if seconds := self._breaker.seconds_to_wait():
            raise _not_asked("open", math.ceil(seconds))
        try:
            with self._breaker.call(), DURATION.time():
                line = await self._source.fetch(field, value)
        except SourceFailedError as error:
            raise self._failed(error) from error
        self._report(self._breaker.record_success)
        return line

    def _failed(self, error: SourceFailedError) -> ServiceError:
        REQUESTS.labels("failed").inc()
        log.warning("user_source.failed", reason=error.reason)
        self._report(self._breaker.record_failure)
        return unavailable()

    def _report(self, record: Callable[[], None]) -> None:
        """Record an outcome, and log if it opened or closed the breaker."""
        was_open = self._breaker.is_open
        record()
        CIRCUIT_OPEN.set(self._breaker.is_open)
        if was_open != self._breaker.is_open:
            log.warning("user_source.circuit_opened" if self._breaker.is_open else "user_source.circuit_closed")


def _not_asked(outcome: str, retry_after: int) -> ServiceError:
    REQUESTS.labels(outcome).inc()
    return unavailable(retry_after)
