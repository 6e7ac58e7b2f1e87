"""How many incorrect codes a number accepts, and for how long a code lives.

Incorrect codes are counted in lanes, so that strangers cannot use up the tries of a number's owner. One statement
decides, ``count_attempts.sql``:

- Callers who are known to a number with an account have ten tries in 24 hours. Those in a known network have five at
  one code. Those who are known by a living session alone can use five of the ten, and then what strangers can.
- Strangers share five at one code and ten in 24 hours, of which one network can use five.
- After its ten, a number without an account accepts one more every two hours. The network that asked for the live code
  has one of its own in two hours, which no other network can use up.
- A network, or an app, that had too many incorrect codes over all numbers may enter no more, but for one try at each
  code that was asked for there for a number without an account. A stranger who asks there to log in is told to wait.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from shared.values import value
from sms_service.otp import CODE_LIFETIME
from sms_service.verification.send_limits import KNOWN, SESSION, WINDOW, Send

TRIES_PER_CODE = 5
FAILURES_PER_WINDOW = 10
FAILURES_FROM_ONE_NETWORK = 5
FAILURES_BY_SESSIONS = 5
RESERVED_TRY_INTERVAL = timedelta(hours=2)
NETWORK_FAILURES = 120
NETWORK_FAILURE_WINDOW = timedelta(hours=1)
"""Incorrect codes from one network, over all numbers. ``CALLER_WRONG_CODES_PER_NETWORK_HOUR`` changes their number."""
LANE_LIMITS: Mapping[str, object] = {
    "known": KNOWN,
    "session": SESSION,
    "failure_window": WINDOW,
    "failures_per_window": FAILURES_PER_WINDOW,
    "failures_from_one_network": FAILURES_FROM_ONE_NETWORK,
    "failures_by_sessions": FAILURES_BY_SESSIONS,
    "reserved_try_interval": RESERVED_TRY_INTERVAL,
}
"""The lanes as the statements name them."""
APP_FAILURES = 1_200
"""Incorrect codes by way of one app's servers, in the same window. ``CALLER_WRONG_CODES_PER_APP_HOUR`` changes it."""


@value
class Verification:
    """The life of one code. The code is derived from these fields and a key, and stored nowhere.

    ``tries`` counts incorrect codes of strangers, ``known_tries`` those of callers in a known network.
    """

    verification_id: UUID
    code_key_id: int
    created_at: datetime
    expires_at: datetime
    tries: int = 0
    known_tries: int = 0
    verified_at: datetime | None = None
    version: int = 0

    def is_live(self, now: datetime, *, registered: bool) -> bool:
        """Whether its code can be sent again and entered for the first time.

        Strangers cannot end the code of a number with an account: its owner may be about to enter it.
        """
        tries = self.known_tries if registered else self.tries
        return self.verified_at is None and tries < TRIES_PER_CODE and now < self.expires_at


@value
class NumberState:
    """What decides about a number and a purpose, read at one moment of the database's clock.

    ``version`` is the number's. A decision is written only if the version has not changed since.
    """

    now: datetime
    version: int
    sends: tuple[Send, ...]
    verification: Verification | None


def next_verification(state: NumberState, new_id: UUID, code_key_id: int, *, registered: bool) -> Verification:
    """The live verification, whose code is sent again, or a new one if there is none."""
    current = state.verification
    if current is not None and current.is_live(state.now, registered=registered):
        return replace(current, version=current.version + 1)
    return Verification(new_id, code_key_id, state.now, state.now + CODE_LIFETIME, version=1)
