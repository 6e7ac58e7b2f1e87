"""Sessions, and what can be done with one."""

from collections.abc import Sequence
from typing import Any

from gateway.flows.services import Caller, Services
from gateway.passwords import Password
from shared.internal_api.auth import LoggedIn, LogInWithPassword, Resolve, Resolved
from shared.internal_api.contacts import Match, Matched
from shared.phone import E164

LARGEST_NUMBER = 10**20
"""No number has more digits."""


class SessionFlows:
    """What who has a password, or a token, can do."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def log_in(self, caller: Caller, number: E164, password: Password) -> LoggedIn:
        """Open a session with a password. An unknown number and a wrong password are one answer."""
        return await self._services.auth.log_in(
            LogInWithPassword(
                phone=number,
                secret=password.secret,
                address=caller.address,
                dialect=caller.dialect,
                client=caller.client,
            )
        )

    async def session(self, token: str) -> Resolved:
        """Whose session this is. Raises ``UNAUTHENTICATED``. At most five seconds behind a revocation."""
        if seen := self._services.sessions.get(token):
            return seen
        mark = self._services.sessions.mark()
        resolved = await self._services.auth.resolve(Resolve(token=token))
        self._services.sessions.put(token, resolved, mark)
        return resolved

    async def match_contacts(self, session: Resolved, phones: Sequence[Any]) -> Matched:
        """Which of these numbers are members; entries that are no number are skipped.

        A JSON number is matched, and shown again, as its decimal digits.
        """
        account = session.account
        entries = [entry if isinstance(entry, str) else _digits(entry) for entry in phones]
        call = Match(user_id=account.user_id, own_phone=account.phone, phones=entries)
        return await self._services.contacts.match(call)


def _digits(entry: Any) -> str:
    """The digits of a whole JSON number, which some clients write as ``1.3800138e10``; of anything else, none."""
    if isinstance(entry, float) and entry.is_integer() and entry < LARGEST_NUMBER:
        entry = int(entry)
    is_number = isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < LARGEST_NUMBER
    return str(entry) if is_number else ""
