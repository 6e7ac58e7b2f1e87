"""Which sender carries a message: the route of its number, its order, and who is left out."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple
from uuid import UUID

from shared.phone import E164
from sms_service.senders.port import Outcome
from sms_service.spending.money import MessageCost

NO_ROUTE = "no_route"
"""The failure of a message to a number that no route serves."""
CIRCUIT_OPEN = "circuit_open"
"""The failure of a message whose senders have all just failed too often to be asked."""
EXHAUSTED = "exhausted"
"""Every sender of the route has failed for this code, in a way that asking again does not mend."""

_COUNTED = frozenset({"", Outcome.ACCEPTED, Outcome.TRANSIENT, "abandoned", "undelivered"})
"""Attempts that a provider may have counted: it took the message, or nobody knows."""
_MENDS = frozenset({Outcome.TRANSIENT, Outcome.RATE_LIMITED, "abandoned", "undelivered"})
"""Failures that may be over when the person asks again."""


class PreviousAttempt(NamedTuple):
    """An earlier attempt to reach a number. ``outcome`` is empty while it is open, ``undelivered`` by a receipt.

    ``ago`` is when its message was asked for.
    """

    sender: str
    verification_id: UUID
    outcome: str
    ago: timedelta


@dataclass(frozen=True)
class Limits:
    """How many messages a sender may be given for one number; None is no limit. Windows roll."""

    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None

    def allow(self, past: Sequence[timedelta]) -> bool:
        """Whether one more keeps within all windows, after those sent so long ago."""
        windows = ((self.per_minute, 60), (self.per_hour, 3600), (self.per_day, 86_400))
        return all(
            most is None or sum(ago < timedelta(seconds=seconds) for ago in past) < most for most, seconds in windows
        )


@dataclass(frozen=True)
class Route:
    """The senders for numbers that begin with ``prefix``. ``weights``, if any, share out who is asked first."""

    prefix: str
    senders: tuple[str, ...]
    weights: tuple[int, ...] = ()

    def order(self, message_id: UUID) -> list[str]:
        """The senders in the order in which this message tries them; the same each time it is asked."""
        first = self._first(message_id)
        return [first, *(sender for sender in self.senders if sender != first)]

    def _first(self, message_id: UUID) -> str:
        if not self.weights:
            return self.senders[0]
        drawn = int.from_bytes(sha256(message_id.bytes).digest()[:8], "big") * sum(self.weights) >> 64
        return next(s for s, upto in zip(self.senders, accumulate(self.weights), strict=True) if drawn < upto)


@dataclass(frozen=True)
class Choice:
    """The sender to ask and what it costs, where that is known; or why there is none: a failure, or an ``Outcome``."""

    sender: str | None
    failure: str = ""
    charge: MessageCost | None = None


class Router:
    """The routes and the limits of one settings file. ``is_open`` tells whose breaker is open."""

    def __init__(
        self, routes: Sequence[Route], limits: Mapping[str, Limits], is_open: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._routes = sorted(routes, key=lambda route: len(route.prefix), reverse=True)
        self._limits = limits
        self._is_open = is_open

    def route(self, number: E164) -> Route | None:
        """The route with the longest prefix of a number."""
        return next((route for route in self._routes if number.startswith(route.prefix)), None)

    def choose(
        self,
        number: E164,
        message_id: UUID,
        verification_id: UUID,
        past: Sequence[PreviousAttempt],
        tried: str | None = None,
        *,
        without: Container[str] = (),
    ) -> Choice:
        """Who is asked next. ``tried`` has just failed for this very message; ``without`` are left out.

        A sender that failed for this code is not asked again, unless the person asks anew and nobody else is left.
        """
        route = self.route(number)
        if route is None:
            return Choice(None, NO_ROUTE)
        failed = {p.sender: p.outcome for p in past if p.verification_id == verification_id and _is_failure(p.outcome)}
        order = [sender for sender in route.order(message_id) if sender != tried and sender not in without]
        left = [sender for sender in order if sender not in failed]
        if not left and tried is None:
            left = [sender for sender in order if failed[sender] in _MENDS]
        return self._first_able(left, past)

    def _first_able(self, senders: Sequence[str], past: Sequence[PreviousAttempt]) -> Choice:
        failure = EXHAUSTED
        for sender in senders:
            if self._is_open(sender):
                failure = CIRCUIT_OPEN
            elif not self._within_limits(sender, past):
                failure = Outcome.RATE_LIMITED.value
            else:
                return Choice(sender)
        return Choice(None, failure)

    def _within_limits(self, sender: str, past: Sequence[PreviousAttempt]) -> bool:
        limits = self._limits.get(sender)
        return limits is None or limits.allow([p.ago for p in past if p.sender == sender and p.outcome in _COUNTED])


def _is_failure(outcome: str) -> bool:
    return outcome not in {"", Outcome.ACCEPTED.value}
