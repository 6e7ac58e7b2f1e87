"""Chooses the sender of a message: the route of its number, the route's order, and which senders are skipped."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple
from uuid import UUID

from shared.phone import E164
from shared.values import value
from sms_service.senders.limits import SenderLimits
from sms_service.senders.port import Outcome
from sms_service.spending.money import MessageCost

NO_ROUTE = "no_route"
"""The failure of a message whose number matches no route."""
CIRCUIT_OPEN = "circuit_open"
"""The failure of a message whose remaining senders all have an open circuit breaker."""
EXHAUSTED = "exhausted"
"""The failure of a message for whose code every sender of the route has failed, in a way that does not pass."""

_COUNTED = frozenset({"", Outcome.ACCEPTED, Outcome.TRANSIENT, "abandoned", "undelivered"})
"""Outcomes that count towards a sender's limits: the provider took the message, or may have taken it."""
_TEMPORARY = frozenset({Outcome.TRANSIENT, Outcome.RATE_LIMITED, "abandoned", "undelivered"})
"""Failures that may have passed by the time the person requests the code again."""


class PreviousAttempt(NamedTuple):
    """An earlier attempt to reach a number.

    ``outcome`` is empty while the attempt is open, and ``undelivered`` if a receipt said so. ``age`` is the time since
    its message was requested.
    """

    sender: str
    verification_id: UUID
    outcome: str
    age: timedelta


@dataclass(frozen=True)
class Route:
    """The senders for numbers with a prefix. Weights, if present, divide the messages among first senders."""

    prefix: str
    senders: tuple[str, ...]
    weights: tuple[int, ...] = ()

    def order(self, message_id: UUID) -> list[str]:
        """The senders in the order in which they are tried; always the same order for one message."""
        first = self._first(message_id)
        return [first, *(sender for sender in self.senders if sender != first)]

    def _first(self, message_id: UUID) -> str:
        if not self.weights:
            return self.senders[0]
        point = int.from_bytes(sha256(message_id.bytes).digest()[:8], "big") * sum(self.weights) >> 64
        shares = zip(self.senders, accumulate(self.weights), strict=True)
        return next(sender for sender, end in shares if point < end)


@value
class SenderChoice:
    """The chosen sender, and what the message costs if prices are known; or no sender, and the failure."""

    sender: str | None
    failure: str = ""
    cost: MessageCost | None = None


class Router:
    """The routes and limits of one settings file. ``is_open`` tells whether a sender's circuit breaker is open."""

    def __init__(
        self,
        routes: Sequence[Route],
        limits: Mapping[str, SenderLimits],
        is_open: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._routes = sorted(routes, key=lambda route: len(route.prefix), reverse=True)
        self._limits = limits
        self._is_open = is_open

    def route_for(self, number: E164) -> Route | None:
        """The route with the longest prefix that the number starts with."""
        return next((route for route in self._routes if number.startswith(route.prefix)), None)

    def choose(
        self,
        number: E164,
        message_id: UUID,
        verification_id: UUID,
        previous_attempts: Sequence[PreviousAttempt],
        *,
        failed_sender: str | None = None,
        excluded: Container[str] = (),
    ) -> SenderChoice:
        """The sender to try next. ``failed_sender`` has just failed for this message.

        A sender that failed for this code is skipped. If the person requests the code again and no other sender is
        left, the senders whose failure may have passed are tried again.
        """
        route = self.route_for(number)
        if route is None:
            return SenderChoice(None, NO_ROUTE)
        senders = [name for name in route.order(message_id) if name != failed_sender and name not in excluded]
        failures = _failures(previous_attempts, verification_id)
        candidates = [name for name in senders if name not in failures]
        if not candidates and failed_sender is None:
            candidates = [name for name in senders if failures[name] in _TEMPORARY]
        return self._first_available(candidates, previous_attempts)

    def _first_available(self, senders: Sequence[str], previous_attempts: Sequence[PreviousAttempt]) -> SenderChoice:
        failure = EXHAUSTED
        for sender in senders:
            if self._is_open(sender):
                failure = CIRCUIT_OPEN
            elif not self._within_limits(sender, previous_attempts):
                failure = Outcome.RATE_LIMITED.value
            else:
                return SenderChoice(sender)
        return SenderChoice(None, failure)

    def _within_limits(self, sender: str, previous_attempts: Sequence[PreviousAttempt]) -> bool:
        limits = self._limits.get(sender)
        return limits is None or limits.allow(
            [one.age for one in previous_attempts if one.sender == sender and one.outcome in _COUNTED]
        )


def _failures(attempts: Sequence[PreviousAttempt], verification_id: UUID) -> dict[str, str]:
    """The senders that have failed for a code, with the outcome of their last failure."""
    return {
        attempt.sender: attempt.outcome
        for attempt in attempts
        if attempt.verification_id == verification_id and attempt.outcome not in {"", Outcome.ACCEPTED.value}
    }
