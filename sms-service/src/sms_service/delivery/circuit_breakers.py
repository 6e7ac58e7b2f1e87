"""A circuit breaker for each sender: after several failures in a row it is skipped for a while, in this process."""

import structlog
from circuitbreaker import CircuitBreaker
from prometheus_client import Gauge

from shared.process.metric_children import child
from sms_service.senders.port import Outcome, OutgoingMessage, Sender, SendResult

FAILURES = 5
"""The number of failures in a row that opens a breaker."""
OPEN_SECONDS = 30.0
"""How long a breaker stays open. Then one message is let through; if it fails, the breaker stays open as long again."""

_SENDER_FAILURES = frozenset({Outcome.TRANSIENT, Outcome.MISCONFIGURED})
"""Outcomes that concern the sender. The others concern one number or one text."""

OPEN = Gauge("haoma_sender_circuit_open", "1 while a sender is skipped because it keeps failing", ["sender"])

log = structlog.get_logger()


class _SenderFailedError(Exception):
    """Carries a result out of the breaker, which counts it as a failure."""

    def __init__(self, result: SendResult) -> None:
        super().__init__(result.outcome)
        self.result = result


class CircuitBreakers:
    """The breakers of all senders, by the sender's name."""

    def __init__(self, failures: int = FAILURES, open_seconds: float = OPEN_SECONDS) -> None:
        self._failures = failures
        self._open_seconds = open_seconds
        self._by_name: dict[str, CircuitBreaker] = {}

    def is_open(self, sender: str) -> bool:
        """Whether a sender must be skipped now."""
        breaker = self._by_name.get(sender)
        return breaker is not None and breaker.opened

    async def send(self, sender: Sender, outgoing: OutgoingMessage) -> SendResult:
        """Send through a breaker, which counts the result. The sender's exceptions are raised."""
        breaker = self._breaker(sender.name)
        if breaker.opened:  # it opened after the sender was chosen; the ledger still needs a result
            return SendResult(Outcome.TRANSIENT, "circuit_open")
        was_open = breaker.state != "closed"
        try:
            with breaker:
                result = await sender.send(outgoing)
                if result.outcome in _SENDER_FAILURES:
                    raise _SenderFailedError(result)
                return result
        except _SenderFailedError as error:
            return error.result
        finally:
            _report_change(sender.name, was_open=was_open, is_open=breaker.opened)

    def _breaker(self, name: str) -> CircuitBreaker:
        if name not in self._by_name:
            self._by_name[name] = CircuitBreaker(self._failures, self._open_seconds, name=name)
        return self._by_name[name]


def _report_change(name: str, *, was_open: bool, is_open: bool) -> None:
    child(OPEN, name).set(is_open)
    if was_open != is_open:
        log.warning("circuit.opened" if is_open else "circuit.closed", sender=name)
