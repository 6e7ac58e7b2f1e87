"""Verifies tickets. One that does not verify proves nothing: not whose it is, nor for which number."""

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
    """Verifies tickets at the current time of ``clock``."""

    def __init__(self, codec: TicketCodec, clock: Callable[[], datetime]) -> None:
        self._codec = codec
        self._clock = clock

    def verify(self, text: str, purpose: Purpose) -> Ticket:
        """The ticket inside ``text``. Raises ``CODE_REFUSED`` if it is forged, expired or for another purpose."""
        try:
            return self._codec.open(text, purpose, now=self._clock())
        except ServiceError:
            UNOPENED.labels(purpose).inc()
            raise

    def is_fresh(self, ticket: Ticket) -> bool:
        """Whether the number of a verified ticket was verified within the last five minutes."""
        return ticket.is_fresh(self._clock())
