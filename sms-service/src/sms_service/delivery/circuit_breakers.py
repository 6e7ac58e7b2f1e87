"""A circuit breaker for each sender: after several failures in a row it is skipped for a while, in this process."""

import time
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import Gauge

from shared.outbound.circuit_breaker import CircuitBreaker
from shared.process.metric_children import child
from sms_service.senders.port import Outcome, SendResult

FAILURES = 5
"""The number of failures in a row that opens a breaker."""
OPEN_SECONDS = 30.0
"""How long a breaker stays open. Then one message is let through; if it fails, the breaker stays open as long again."""

_SENDER_FAILURES = frozenset({Outcome.TRANSIENT, Outcome.MISCONFIGURED})
"""Outcomes that concern the sender. The others concern one number or one text."""

OPEN = Gauge(
    "haoma_sender_circuit_open", "1 after a sender has failed several times in a row, until a try succeeds", ["sender"]
)

log = structlog.get_logger()


class CircuitBreakers:
    """The breakers of all senders, by the sender's name. ``clock`` counts in seconds."""

    def __init__(
        self,
        failures: int = FAILURES,
        open_seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._by_name: dict[str, CircuitBreaker] = {}

    def is_open(self, sender: str) -> bool:
        """Whether a sender must be skipped now."""
        breaker = self._by_name.get(sender)
        return breaker is not None and breaker.seconds_left > 0

    async def send(self, sender: str, attempt: Callable[[], Awaitable[SendResult]]) -> SendResult:
        """Make an attempt through a breaker, which counts its result. One that is cancelled says nothing."""
        breaker = self._breaker(sender)
        if breaker.seconds_to_wait():  # since the sender was chosen, it opened or another message began to try
            return SendResult(Outcome.TRANSIENT, "circuit_open")
        with breaker.call():
            result = await attempt()
        was_open = breaker.is_open
        if result.outcome in _SENDER_FAILURES:
            breaker.record_failure()
        else:
            breaker.record_success()
        _report_change(sender, was_open=was_open, is_open=breaker.is_open)
        return result

    def _breaker(self, name: str) -> CircuitBreaker:
        if name not in self._by_name:
            self._by_name[name] = CircuitBreaker(self._failures, self._open_seconds, self._clock)
        return self._by_name[name]


def _report_change(name: str, *, was_open: bool, is_open: bool) -> None:
    child(OPEN, name).set(is_open)
    if was_open != is_open:
        log.warning("circuit.opened" if is_open else "circuit.closed", sender=name)
