"""A circuit breaker for each sender: one that keeps failing is left alone for a while, in this process."""

import structlog
from circuitbreaker import CircuitBreaker
from prometheus_client import Gauge

from sms_service.senders.port import Message, Outcome, Sender, SendResult

FAILURES = 5
"""How many in a row open the breaker."""
OPEN_SECONDS = 30.0
"""Then the next message is let through to see: if it fails, the breaker stays open as long again."""

_SICK = frozenset({Outcome.TRANSIENT, Outcome.MISCONFIGURED})
"""Answers that say something of the sender. The others speak of one number or one text."""

OPEN = Gauge("haoma_sender_circuit_open", "1 while a sender is left alone because it keeps failing", ["sender"])

log = structlog.get_logger()


class _SickError(Exception):
    """Carries an answer out of the breaker that must count it as a failure."""

    def __init__(self, answer: SendResult) -> None:
        super().__init__(answer.outcome)
        self.answer = answer


class Breakers:
    """The breakers of all senders, by name."""

    def __init__(self, failures: int = FAILURES, open_seconds: float = OPEN_SECONDS) -> None:
        self._failures = failures
        self._open_seconds = open_seconds
        self._by_name: dict[str, CircuitBreaker] = {}

    def is_open(self, sender: str) -> bool:
        """Whether a sender is to be left alone now."""
        breaker = self._by_name.get(sender)
        return breaker is not None and breaker.opened

    async def send(self, sender: Sender, message: Message) -> SendResult:
        """Let a message through and count how it went. What the sender raises is raised."""
        breaker = self._of(sender.name)
        if breaker.opened:  # since it was chosen: the ledger must still be told something
            return SendResult(Outcome.TRANSIENT, "circuit_open")
        was_open = breaker.state != "closed"
        try:
            with breaker:
                answer = await sender.send(message)
                if answer.outcome in _SICK:
                    raise _SickError(answer)
                return answer
        except _SickError as error:
            return error.answer
        finally:
            _note(sender.name, was_open=was_open, is_open=breaker.opened)

    def _of(self, name: str) -> CircuitBreaker:
        if name not in self._by_name:
            self._by_name[name] = CircuitBreaker(self._failures, self._open_seconds, name=name)
        return self._by_name[name]


def _note(name: str, *, was_open: bool, is_open: bool) -> None:
    OPEN.labels(name).set(is_open)
    if was_open != is_open:
        log.warning("sender.circuit", sender=name, state="opened" if is_open else "closed")
