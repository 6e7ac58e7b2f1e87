"""What a user who is logged in may do to his account: profile, password, sessions, and its end."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts.model import Attempt, LogInBegun, Origin, StoredAccount
from auth_service.passwords import failure_limits
from auth_service.passwords.hasher import Passwords
from auth_service.passwords.rate_limited_check import Trials
from auth_service.sessions.password_login import Audit
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, ChangePassword, ChangeProfile, Erase, LivingSession
from shared.phone import E164, PhoneKeys

log = structlog.get_logger()


class OwnerBook(Protocol):
    """Where accounts and their sessions are kept. Each call is atomic and tells what it changed."""

    async def change_profile(self, user_id: int, changes: Mapping[str, object]) -> Account | None:
        """Set the columns; ``None`` when there is no such account, or it is banned."""

    async def change_password(self, held: StoredAccount, verifier: str, keep: UUID, attempt: Attempt) -> bool:
        """Set the verifier and end every session but one; ``False`` when the password changed or a ban came."""

    async def erase(self, user_id: int, attempt: Attempt) -> bool:
        """Delete the account with all that belongs to it; ``False`` when there is none, or it is banned."""

    async def sessions(self, user_id: int) -> Sequence[LivingSession]:
        """The user's living sessions, newest first."""

    async def end_sessions(self, user_id: int, *, only: UUID | None = None, but: UUID | None = None) -> int:
        """End the user's sessions: one, or all but one. Returns how many ended."""


class Owners:
    """The rules. The gateway has resolved the session, so the user is who he says."""

    def __init__(
        self, book: OwnerBook, *, trials: Trials, audit: Audit, passwords: Passwords, phones: PhoneKeys
    ) -> None:
        self._book = book
        self._trials = trials
        self._audit = audit
        self._passwords = passwords
        self._phones = phones

    async def change_profile(self, call: ChangeProfile) -> Account:
        """Change what is given. Raises ``UNAUTHENTICATED`` when the account is gone or banned."""
        changes = call.model_dump(exclude={"user_id"}, exclude_none=True)
        account = await self._book.change_profile(call.user_id, changes)
        if account is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        log.info("profile.changed", user_id=call.user_id, fields=sorted(changes))
        return account

    async def change_password(self, call: ChangePassword) -> None:
        """Replace the password. Raises ``CREDENTIALS_REFUSED``, ``CALLER_LIMIT``, ``UNAVAILABLE``.

        A wrong current password counts as a failed log-in does: a stolen session must not help to guess it.
        """
        phone_ref = self._phones.ref(E164(call.phone))
        origin = Origin(call.dialect, call.client, failure_limits.network_of(call.address))
        begun = await self._trials.begin(E164(call.phone), phone_ref, origin.network)
        try:
            await self._replace_password(call, begun, phone_ref, origin)
        except ServiceError as refusal:
            if refusal.code is ErrorCode.CREDENTIALS_REFUSED:
                await self._audit.note(Attempt("change_password.refused", phone_ref, origin, call.user_id))
            raise

    async def _replace_password(self, call: ChangePassword, begun: LogInBegun, phone_ref: int, origin: Origin) -> None:
        held = (await self._trials.judge(begun, call.current)).held
        async with self._trials.unblamed(begun):
            if held.account.user_id != call.user_id:
                raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
            verifier = await self._passwords.hash(call.secret)
            attempt = Attempt("change_password.succeeded", phone_ref, origin, call.user_id)
            if not await self._book.change_password(held, verifier, call.session_id, attempt):
                raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        await self._trials.absolve(begun)
        log.info("password.changed", user_id=call.user_id, session_id=str(call.session_id))

    async def erase(self, call: Erase) -> None:
        """End the account. Raises ``UNAUTHENTICATED`` when it is gone already, or banned."""
        # The audit keeps that somebody erased an account, and not who.
        attempt = Attempt("erase.succeeded", None, Origin(call.dialect, call.client))
        if not await self._book.erase(call.user_id, attempt):
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        log.info("account.erased", user_id=call.user_id)

    async def sessions(self, user_id: int) -> Sequence[LivingSession]:
        """The user's living sessions, newest first."""
        return await self._book.sessions(user_id)

    async def end_session(self, user_id: int, session_id: UUID) -> None:
        """End one of the user's sessions. Raises ``NOT_FOUND`` for one that is not his or not there."""
        if not await self._book.end_sessions(user_id, only=session_id):
            raise ServiceError(ErrorCode.NOT_FOUND)
        log.info("session.revoked", user_id=user_id, session_id=str(session_id), cause="ended_by_user")

    async def end_others(self, user_id: int, session_id: UUID) -> None:
        """End every session of the user but one."""
        ended = await self._book.end_sessions(user_id, but=session_id)
        log.info("session.others_revoked", user_id=user_id, session_id=str(session_id), ended=ended)
