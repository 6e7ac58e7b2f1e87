"""Sessions: log in, tell whose a token is."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from auth_service.accounts import events
from auth_service.accounts.model import (
    AuditEntry,
    ClientContext,
    CountedFailure,
    NewSession,
    StartedCheck,
    StoredAccount,
    hash_token,
)
from auth_service.passwords import failure_limits
from auth_service.passwords.rate_limited_check import RateLimitedCheck, VerifiedPassword
from shared.errors import ErrorCode, ServiceError
from shared.events import OutboxMessage
from shared.internal_api.auth import Account, LoggedIn, LogInWithPassword, Resolved
from shared.phone import E164, PhoneKeys

log = structlog.get_logger()


class Audit(Protocol):
    """Where every authentication attempt leaves one row."""

    async def record(self, attempt: AuditEntry) -> None:
        """Write one attempt that changed nothing else; the others are written with what they changed."""


class SessionRepository(Protocol):
    """Where sessions are kept."""

    async def open(
        self,
        held: StoredAccount,
        session: NewSession,
        attempt: AuditEntry,
        message: OutboxMessage,
        *,
        new_hash: str | None = None,
        charges: Sequence[CountedFailure] = (),
    ) -> Account | None:
        """Write a session with all that belongs to it; ``None`` when the password changed, or a ban came, meanwhile.

        ``new_hash`` is a new verifier of the same password; ``charges`` are given back.
        """

    async def find(self, token_hash: bytes) -> Resolved | None:
        """The living session of this token and its account, unless banned; moves its expiry when that is due."""


class PasswordLogin:
    """The rules of logging in and of what a token is good for."""

    def __init__(
        self, repository: SessionRepository, *, password_check: RateLimitedCheck, audit: Audit, phones: PhoneKeys
    ) -> None:
        self._repository = repository
        self._password_check = password_check
        self._audit = audit
        self._phones = phones

    async def log_in(self, call: LogInWithPassword) -> LoggedIn:
        """Open a session. Raises ``CALLER_LIMIT``, ``CREDENTIALS_REFUSED``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``.

        A number without an account gets the answer of a wrong password, for the same work.
        """
        phone_ref = self._phones.ref(E164(call.phone))
        origin = ClientContext(call.dialect, call.client, failure_limits.network_of(call.address))
        begun = await self._password_check.begin(E164(call.phone), phone_ref, origin.network)
        try:
            verified = await self._password_check.judge(begun, call.secret)
            async with self._password_check.refund_on_error(begun):
                return await self._enter(verified, begun, phone_ref, origin)
        except ServiceError as refusal:
            if action := _REFUSED.get(refusal.code):
                user_id = begun.held.account.user_id if begun.held else None
                await self._audit.record(AuditEntry(action, phone_ref, origin, user_id))
            raise

    async def _enter(
        self, verified: VerifiedPassword, begun: StartedCheck, phone_ref: int, origin: ClientContext
    ) -> LoggedIn:
        held = verified.held
        if held.banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        session = NewSession(held.account.user_id, origin)
        attempt = AuditEntry("log_in.succeeded", phone_ref, origin, session.user_id)
        message = events.session_opened(session, "log_in")
        account = await self._repository.open(
            held, session, attempt, message, new_hash=verified.new_hash, charges=begun.charges
        )
        if account is None:
            raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        log.info("session.opened", user_id=session.user_id, session_id=str(session.session_id), cause="log_in")
        return LoggedIn(account=account, session_id=session.session_id, token=session.token)

    async def resolve(self, token: str) -> Resolved:
        """Whose session this is. Raises ``ServiceError(UNAUTHENTICATED)``: unknown, expired, or of a banned account."""
        resolved = await self._repository.find(hash_token(token))
        if resolved is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        return resolved


_REFUSED = {
    ErrorCode.CALLER_LIMIT: "log_in.limited",
    ErrorCode.CREDENTIALS_REFUSED: "log_in.refused",
    ErrorCode.ACCOUNT_BANNED: "log_in.banned",
}
