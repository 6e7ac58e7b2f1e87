"""What a user who is logged in may do to his account: profile, password, sessions, and its end."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts.model import AuditEntry, ClientContext, StartedCheck, StoredAccount
from auth_service.passwords import failure_limits
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.sessions.password_login import Audit
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, ChangePassword, ChangeProfile, Erase, LivingSession
from shared.phone import E164, PhoneKeys

log = structlog.get_logger()


class SelfServiceRepository(Protocol):
    """Where accounts and their sessions are kept. Each call is atomic and tells what it changed."""

    async def change_profile(self, user_id: int, changes: Mapping[str, object]) -> Account | None:
        """Set the columns; ``None`` when there is no such account, or it is banned."""

    async def change_password(self, held: StoredAccount, password_hash: str, keep: UUID, attempt: AuditEntry) -> bool:
        """Set the verifier and end every session but one; ``False`` when the password changed or a ban came."""

    async def erase(self, user_id: int, attempt: AuditEntry) -> bool:
        """Delete the account with all that belongs to it; ``False`` when there is none, or it is banned."""

    async def sessions(self, user_id: int) -> Sequence[LivingSession]:
        """The user's living sessions, newest first."""

    async def end_sessions(self, user_id: int, *, only: UUID | None = None, but: UUID | None = None) -> int:
        """End the user's sessions: one, or all but one. Returns how many ended."""


class SelfService:
    """The rules. The gateway has resolved the session, so the user is who he says."""

    def __init__(
        self,
        repository: SelfServiceRepository,
        *,
        password_check: RateLimitedCheck,
        audit: Audit,
        passwords: PasswordHasher,
        phones: PhoneKeys,
    ) -> None:
        self._repository = repository
        self._password_check = password_check
        self._audit = audit
        self._passwords = passwords
        self._phones = phones

    async def change_profile(self, call: ChangeProfile) -> Account:
        """Change what is given. Raises ``UNAUTHENTICATED`` when the account is gone or banned."""
        changes = call.model_dump(exclude={"user_id"}, exclude_none=True)
        account = await self._repository.change_profile(call.user_id, changes)
        if account is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        log.info("profile.changed", user_id=call.user_id, fields=sorted(changes))
        return account

    async def change_password(self, call: ChangePassword) -> None:
        """Replace the password. Raises ``CREDENTIALS_REFUSED``, ``CALLER_LIMIT``, ``UNAVAILABLE``.

        A wrong current password counts as a failed log-in does: a stolen session must not help to guess it.
        """
        phone_ref = self._phones.ref(E164(call.phone))
        origin = ClientContext(call.dialect, call.client, failure_limits.network_of(call.address))
        begun = await self._password_check.begin(E164(call.phone), phone_ref, origin.network)
        try:
            await self._replace_password(call, begun, phone_ref, origin)
        except ServiceError as refusal:
            if refusal.code is ErrorCode.CREDENTIALS_REFUSED:
                await self._audit.record(AuditEntry("change_password.refused", phone_ref, origin, call.user_id))
            raise

    async def _replace_password(
        self, call: ChangePassword, begun: StartedCheck, phone_ref: int, origin: ClientContext
    ) -> None:
        held = (await self._password_check.judge(begun, call.current)).held
        async with self._password_check.refund_on_error(begun):
            if held.account.user_id != call.user_id:
                raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
            password_hash = await self._passwords.hash(call.secret)
            attempt = AuditEntry("change_password.succeeded", phone_ref, origin, call.user_id)
            if not await self._repository.change_password(held, password_hash, call.session_id, attempt):
                raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        await self._password_check.refund(begun)
        log.info("password.changed", user_id=call.user_id, session_id=str(call.session_id))

    async def erase(self, call: Erase) -> None:
        """End the account. Raises ``UNAUTHENTICATED`` when it is gone already, or banned."""
        # The audit keeps that somebody erased an account, and not who.
        attempt = AuditEntry("erase.succeeded", None, ClientContext(call.dialect, call.client))
        if not await self._repository.erase(call.user_id, attempt):
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        log.info("account.erased", user_id=call.user_id)

    async def sessions(self, user_id: int) -> Sequence[LivingSession]:
        """The user's living sessions, newest first."""
        return await self._repository.sessions(user_id)

    async def end_session(self, user_id: int, session_id: UUID) -> None:
        """End one of the user's sessions. Raises ``NOT_FOUND`` for one that is not his or not there."""
        if not await self._repository.end_sessions(user_id, only=session_id):
            raise ServiceError(ErrorCode.NOT_FOUND)
        log.info("session.revoked", user_id=user_id, session_id=str(session_id), cause="ended_by_user")

    async def end_others(self, user_id: int, session_id: UUID) -> None:
        """End every session of the user but one."""
        ended = await self._repository.end_sessions(user_id, but=session_id)
        log.info("session.others_revoked", user_id=user_id, session_id=str(session_id), ended=ended)
