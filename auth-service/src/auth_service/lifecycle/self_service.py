"""Changes that users make to their own account: profile, password."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry, AuditLog
from auth_service.changes.model import ChangeLimits
from auth_service.client_context import NO_CONTEXT, ClientContext, ClientContexts
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.model import RunningCheck
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.sessions.model import hash_token
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, ChangePassword, ChangeProfile, Granted
from shared.phone import E164, PhoneKeys

REFUSED_CHANGES = {
    ErrorCode.CREDENTIALS_REFUSED: "change_password.refused",
    ErrorCode.CALLER_LIMIT: "change_password.limited",
}
"""The refusals of a change of password that the audit log has, by their error."""
log = structlog.get_logger()


@dataclass(frozen=True)
class KeptSession:
    """The session that a change of password keeps, and the refresh token that begins its new chain and generation."""

    session_id: UUID
    refresh_token_hash: bytes
    generation: int


class NewTokens(Protocol):
    """Makes tokens that begin a new chain in a session."""

    def new_chain(self, user_id: int, session_id: UUID, generation: int) -> Granted: ...


class SelfServiceRepository(Protocol):
    """Where accounts are changed. Each call is one transaction, with its events."""

    async def change_profile(self, user_id: int, changes: Mapping[str, object]) -> Account | None:
        """Set these fields; None when there is no such account, or it is banned."""

    async def change_password(
        self, account: StoredAccount, password_hash: str, kept: KeptSession, entry: AuditEntry
    ) -> bool:
        """Set the hash and end every session but one; False when the password or the ban changed meanwhile.

        The network of the entry is known to the number from then on, and no other is.
        """


class SelfService:
    """The rules. The gateway has resolved the caller's session, so ``user_id`` is the caller."""

    def __init__(
        self,
        repository: SelfServiceRepository,
        *,
        password_check: RateLimitedCheck,
        audit: AuditLog,
        passwords: PasswordHasher,
        phones: PhoneKeys,
        new_tokens: NewTokens,
        contexts: ClientContexts,
        change_limits: ChangeLimits,
    ) -> None:
        self._repository = repository
        self._password_check = password_check
        self._audit = audit
        self._passwords = passwords
        self._phones = phones
        self._new_tokens = new_tokens
        self._contexts = contexts
        self._change_limits = change_limits

    async def change_profile(self, request: ChangeProfile) -> Account:
        """Set the fields that are not None. Raises ``UNAUTHENTICATED`` when the account is erased or banned."""
        changes = request.model_dump(exclude={"user_id"}, exclude_none=True)
        account = await self._repository.change_profile(request.user_id, changes)
        if account is None:
            await self._audit.record(AuditEntry("change_profile.refused", None, NO_CONTEXT, request.user_id))
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        log.info("profile.changed", user_id=request.user_id, fields=sorted(changes))
        return account

    async def change_password(self, request: ChangePassword) -> Granted:
        """Replace the password, and return new tokens of the session. The user's other sessions end.

        Raises ``CREDENTIALS_REFUSED``, ``CALLER_LIMIT``, ``UNAVAILABLE``. A wrong current password counts as a failed
        log-in, so a stolen session does not help to guess it. Only with the right one the call counts as a change.
        """
        phone_ref = self._phones.ref(E164(request.phone))
        context = self._contexts.of(request)
        phone, network = E164(request.phone), context.known_network
        async with self._password_check.start(phone, phone_ref, request.source, network) as check:
            try:
                return await self._replace_password(request, check, phone_ref, context)
            except ServiceError as refusal:
                if action := REFUSED_CHANGES.get(refusal.code):
                    ids = request.user_id, request.session_id
                    await self._audit.record(AuditEntry(action, phone_ref, context, *ids))
                raise

    async def _replace_password(
        self, request: ChangePassword, check: RunningCheck, phone_ref: int, context: ClientContext
    ) -> Granted:
        verified = await self._password_check.verify(check, request.current, request.current_plain)
        account = verified.account
        async with self._password_check.refund_on_error(check):
            if account.user_id != request.user_id:
                raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
            await self._change_limits.charge(request.user_id, "change_password")
            password_hash = await self._passwords.hash(check.slot, request.secret)
            session_id = request.session_id
            entry = AuditEntry("change_password.succeeded", phone_ref, context, request.user_id, session_id)
            generation = account.account.version + 1  # above that of every change before: each raises the version
            tokens = self._new_tokens.new_chain(request.user_id, session_id, generation)
            kept = KeptSession(session_id, hash_token(tokens.refresh_token), generation)
            if not await self._repository.change_password(account, password_hash, kept, entry):
                raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        await self._password_check.refund(check)
        log.info("password.changed", user_id=request.user_id, session_id=str(request.session_id))
        return tokens
