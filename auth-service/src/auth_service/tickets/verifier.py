"""Tickets as callers hand them in. What does not open was proven by nobody: it is counted, and leaves no row."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import Counter

from shared.errors import ServiceError
from shared.internal_api.sms import Purpose
from shared.tickets import Ticket, TicketCodec

UNOPENED = Counter(
    "haoma_tickets_unopened_total", "Tickets that did not open: forged, expired, or for another purpose", ["purpose"]
)


class TicketVerifier:
    """Opens tickets at the moment that ``clock`` tells."""

    def __init__(self, booth: TicketCodec, clock: Callable[[], datetime]) -> None:
        self._booth = booth
        self._clock = clock

    def open(self, text: str, purpose: Purpose) -> Ticket:
        """The ticket inside ``text``. Raises ``ServiceError(CODE_REFUSED)``."""
        try:
            return self._booth.open(text, purpose, now=self._clock())
        except ServiceError:
            UNOPENED.labels(purpose).inc()
            raise
