"""Sessions: log in, tell whose a token is."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from auth_service.accounts import events
from auth_service.accounts.model import (
    Attempt,
    Charge,
    LogInBegun,
    NewSession,
    Origin,
    StoredAccount,
    hash_token,
)
from auth_service.passwords import failure_limits
from auth_service.passwords.rate_limited_check import Proven, Trials
from shared.errors import ErrorCode, ServiceError
from shared.events import Outgoing
from shared.internal_api.auth import Account, LoggedIn, LogIn, Resolved
from shared.phone import E164, PhoneKeys

log = structlog.get_logger()


class Audit(Protocol):
    """Where every authentication attempt leaves one row."""

    async def note(self, attempt: Attempt) -> None:
        """Write one attempt that changed nothing else; the others are written with what they changed."""


class SessionBook(Protocol):
    """Where sessions are kept."""

    async def open(
        self,
        held: StoredAccount,
        session: NewSession,
        attempt: Attempt,
        message: Outgoing,
        *,
        better: str | None = None,
        charges: Sequence[Charge] = (),
    ) -> Account | None:
        """Write a session with all that belongs to it; ``None`` when the password changed, or a ban came, meanwhile.

        ``better`` is a new verifier of the same password; ``charges`` are given back.
        """

    async def find(self, token_hash: bytes) -> Resolved | None:
        """The living session of this token and its account, unless banned; moves its expiry when that is due."""


class Sessions:
    """The rules of logging in and of what a token is good for."""

    def __init__(self, book: SessionBook, *, trials: Trials, audit: Audit, phones: PhoneKeys) -> None:
        self._book = book
        self._trials = trials
        self._audit = audit
        self._phones = phones

    async def log_in(self, call: LogIn) -> LoggedIn:
        """Open a session. Raises ``CALLER_LIMIT``, ``CREDENTIALS_REFUSED``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``.

        A number without an account gets the answer of a wrong password, for the same work.
        """
        phone_ref = self._phones.ref(E164(call.phone))
        origin = Origin(call.dialect, call.client, failure_limits.network_of(call.address))
        begun = await self._trials.begin(E164(call.phone), phone_ref, origin.network)
        try:
            proven = await self._trials.judge(begun, call.secret)
            async with self._trials.unblamed(begun):
                return await self._enter(proven, begun, phone_ref, origin)
        except ServiceError as refusal:
            if action := _REFUSED.get(refusal.code):
                user_id = begun.held.account.user_id if begun.held else None
                await self._audit.note(Attempt(action, phone_ref, origin, user_id))
            raise

    async def _enter(self, proven: Proven, begun: LogInBegun, phone_ref: int, origin: Origin) -> LoggedIn:
        held = proven.held
        if held.banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        session = NewSession(held.account.user_id, origin)
        attempt = Attempt("log_in.succeeded", phone_ref, origin, session.user_id)
        message = events.session_opened(session, "log_in")
        account = await self._book.open(held, session, attempt, message, better=proven.better, charges=begun.charges)
        if account is None:
            raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        log.info("session.opened", user_id=session.user_id, session_id=str(session.session_id), cause="log_in")
        return LoggedIn(account=account, session_id=session.session_id, token=session.token)

    async def resolve(self, token: str) -> Resolved:
        """Whose session this is. Raises ``ServiceError(UNAUTHENTICATED)``: unknown, expired, or of a banned account."""
        resolved = await self._book.find(hash_token(token))
        if resolved is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        return resolved


_REFUSED = {
    ErrorCode.CALLER_LIMIT: "log_in.limited",
    ErrorCode.CREDENTIALS_REFUSED: "log_in.refused",
    ErrorCode.ACCOUNT_BANNED: "log_in.banned",
}
