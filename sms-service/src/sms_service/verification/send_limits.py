"""How many codes a number gets in 24 hours, and who may ask for them: pure functions over its last sends.

Strangers can neither use up the sends of a number's owner nor keep anyone from a number without an owner for long:

- A number with an account gets ten codes. Strangers can use six of them, one stranger's network two. Callers who are
  known by a living session alone can use two more, since a session may be stolen, and then what strangers can. Callers
  in a network that is known to the number can use what all these leave.
- A number without an account gets ten codes too. Then a network that asked for none of them gets one, every twelve
  minutes: ten hostile networks delay an honest one by less than two hours.
- A dialect's own cap counts what that dialect asked for, in the same lanes: for a caller in a known network what such
  callers asked for, and what the caller's own network asked for before it was known; for one who is known by a session
  what known callers asked for; at a number without an account only what
  the caller's network asked for.

Where accounts are disclosed only after proof, a request to register a number is limited as if it had no account. If it
has one, strangers' requests beyond their six and two are answered like the others, and nothing is sent for them: they
are withheld, and start no cooldown for known callers.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.errors import ErrorCode, ServiceError
from shared.values import value

WINDOW = timedelta(hours=24)
SENDS_PER_WINDOW = 10
"""For one number over all dialects. A dialect may set a lower cap for its own, not a higher one."""
SENDS_BY_STRANGERS = 6
SENDS_BY_ONE_STRANGER = 2
SENDS_BY_SESSIONS = 2
"""Of the ten of a number with an account: what all strangers can use, those of one network, and all sessions."""
MAX_SENDS_WITHOUT_ACCOUNT = 20
EXTRA_SEND_INTERVAL = timedelta(minutes=12)
"""After its ten, a number without an account gets one more for each new network, so far apart, up to this many."""
TEST_SENDS_PER_WINDOW = 100
"""For one test number over all dialects. It costs nothing, but the cap stops a script that runs away."""
KNOWN = "known"
SESSION = "session"
"""What counts in place of a stranger's network for a caller in a known network, or known by a session alone."""
KNOWN_LANES = (KNOWN, SESSION)

NO_WAIT = timedelta()


@value
class Send:
    """A code that was sent: when, for which dialect, and for whom.

    ``network`` is the source network of the stranger who asked, ``KNOWN``, ``SESSION``, or empty where networks are not
    counted. At a number without an account it is the stranger's place, whether anything is charged to it or not.
    For one that ``is_withheld`` no message was sent.
    """

    at: datetime
    network: str
    dialect: str
    is_withheld: bool = False


@value
class Requester:
    """Who requests a code, as the limits of the number count them. ``network`` is as in ``Send``.

    ``dialect_cap`` counts what this dialect asked for. ``registered`` says whether the number has an account.
    ``proven_networks`` is how the own network of a known caller was counted before, if strangers cannot be in it: it
    was proven to be the owner's. ``stranger_network`` is what a caller who is known by a session alone counts on as a
    stranger.
    """

    dialect: str
    dialect_cap: int
    registered: bool
    network: str
    proven_networks: Collection[str] = ()
    stranger_network: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the caller is known to the number."""
        return self.network in KNOWN_LANES

    def in_open_lane(self, sends: Iterable[Send], now: datetime) -> "Requester":
        """The requester as the number counts them: a stranger when sessions have used up their sends."""
        if self.network != SESSION:
            return self
        used = sum(send.network == SESSION for send in recent(sends, now))
        return self if used < SENDS_BY_SESSIONS else replace(self, network=self.stranger_network)


def recent(sends: Iterable[Send], now: datetime) -> tuple[Send, ...]:
    """The sends of the last 24 hours, oldest first."""
    return tuple(sorted((send for send in sends if send.at > now - WINDOW), key=lambda send: send.at))


def refuse_cooldown(sends: Sequence[Send], cooldown: int, now: datetime) -> None:
    """Raise ``ServiceError(COOLDOWN)`` within ``cooldown`` seconds of the last send."""
    if sends:
        left = _last(sends) + timedelta(seconds=cooldown) - now
        if left > NO_WAIT:
            raise ServiceError(ErrorCode.COOLDOWN, retry_after=_seconds(left))


def cooling_sends(sends: Sequence[Send], requester: Requester) -> Sequence[Send]:
    """The sends whose cooldown holds for a requester: for a known caller those that were sent.

    Strangers are shown the same for all of them, whether a message was sent or not.
    """
    return [send for send in sends if not send.is_withheld] if requester.is_known else sends


def refuse_daily_cap(sends: Sequence[Send], requester: Requester, now: datetime) -> None:
    """Raise ``ServiceError(DAILY_CAP)`` if the requester has no send left in the last 24 hours."""
    if not sends:
        return
    counted = recent(sends, now)
    left = max(
        _wait_for_dialect(counted, requester, now),
        _wait_registered(counted, requester, now) if requester.registered else _wait_free(counted, requester, now),
    )
    if left > NO_WAIT:
        raise ServiceError(ErrorCode.DAILY_CAP, retry_after=_seconds(left))


def is_within_share(sends: Sequence[Send], requester: Requester, now: datetime) -> bool:
    """Whether a stranger may have a message sent to a number with an account: strangers share six, a network two."""
    return _wait_for_share(_without_excess(recent(sends, now)), requester.network, now) <= NO_WAIT


def refuse_test_cap(sends: Sequence[Send], now: datetime) -> None:
    """As ``refuse_daily_cap``, with the cap of test numbers. They have no cooldown."""
    left = _wait_for_room(recent(sends, now), TEST_SENDS_PER_WINDOW, now)
    if left > NO_WAIT:
        raise ServiceError(ErrorCode.DAILY_CAP, retry_after=_seconds(left))


def _wait_for_dialect(sends: Sequence[Send], requester: Requester, now: datetime) -> timedelta:
    """How long the dialect has to wait, if it has a cap of its own below that of the number."""
    if requester.dialect_cap >= SENDS_PER_WINDOW:
        return NO_WAIT
    counted = [send for send in sends if send.dialect == requester.dialect]
    if requester.is_known:
        lanes = KNOWN_LANES if requester.network == SESSION else (KNOWN, *requester.proven_networks)
        counted = [send for send in counted if send.network in lanes]
    elif requester.network and not requester.registered:
        counted = [send for send in counted if send.network == requester.network]
    return _wait_for_room(counted, requester.dialect_cap, now)


def _wait_registered(sends: Sequence[Send], requester: Requester, now: datetime) -> timedelta:
    """How long the requester has to wait for a send to a number with an account."""
    counted = _without_excess(sends)
    left = _wait_for_room(counted, SENDS_PER_WINDOW, now)
    return left if requester.is_known else max(left, _wait_for_share(counted, requester.network, now))


def _wait_for_share(sends: Sequence[Send], network: str, now: datetime) -> timedelta:
    """How long a stranger has to wait for one of the sends that strangers can use."""
    by_strangers = [send for send in sends if send.network not in KNOWN_LANES]
    left = _wait_for_room(by_strangers, SENDS_BY_STRANGERS, now)
    if not network:
        return left
    from_network = [send for send in by_strangers if send.network == network]
    return max(left, _wait_for_room(from_network, SENDS_BY_ONE_STRANGER, now))


def _without_excess(sends: Sequence[Send]) -> Sequence[Send]:
    """The sends without those of strangers beyond their share: before the number had an account, or not sent at all.

    Strangers use up no more than their share, however often they asked.
    """
    counted: list[Send] = []
    for send in sends:
        if send.network in KNOWN_LANES or _wait_for_share(counted, send.network, send.at) <= NO_WAIT:
            counted.append(send)
    return counted


def _wait_free(sends: Sequence[Send], requester: Requester, now: datetime) -> timedelta:
    """How long the requester has to wait for a send to a number without an account."""
    left = _wait_for_room(sends, SENDS_PER_WINDOW, now)
    is_new = requester.network and all(send.network != requester.network for send in sends)
    if left <= NO_WAIT or not is_new or len(sends) >= MAX_SENDS_WITHOUT_ACCOUNT:
        return left
    return min(left, _last(sends) + EXTRA_SEND_INTERVAL - now)


def _wait_for_room(sends: Sequence[Send], cap: int, now: datetime) -> timedelta:
    """How long until fewer than ``cap`` of these sends, oldest first, are in the last 24 hours."""
    return sends[-cap].at + WINDOW - now if len(sends) >= cap else NO_WAIT


def _last(sends: Sequence[Send]) -> datetime:
    return max(send.at for send in sends)


def _seconds(left: timedelta) -> int:
    return max(1, math.ceil(left.total_seconds()))
