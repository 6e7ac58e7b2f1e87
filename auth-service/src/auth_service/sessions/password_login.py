"""Log-in with a number and a password."""

from typing import Final

from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import ClientContext, ClientContexts
from auth_service.passwords.model import RunningCheck
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.sessions.session_metrics import counted_log_in
from auth_service.sessions.session_opener import SessionOpener
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LoggedIn, LogInWithPassword
from shared.phone import E164, PhoneKeys

CAUSE: Final = "log_in_with_password"
OUTCOMES = {
    ErrorCode.CALLER_LIMIT: f"{CAUSE}.limited",
    ErrorCode.CREDENTIALS_REFUSED: f"{CAUSE}.refused",
    ErrorCode.ACCOUNT_BANNED: f"{CAUSE}.banned",
}
"""The refusals that the audit log has, by their error."""


class PasswordLogin:
    """The rules of logging in with a password."""

    def __init__(
        self,
        opener: SessionOpener,
        *,
        password_check: RateLimitedCheck,
        audit: AuditLog,
        phones: PhoneKeys,
        contexts: ClientContexts,
    ) -> None:
        self._opener = opener
        self._password_check = password_check
        self._audit = audit
        self._phones = phones
        self._contexts = contexts

    async def log_in(self, request: LogInWithPassword) -> LoggedIn:
        """Open a session. Raises ``CALLER_LIMIT``, ``CREDENTIALS_REFUSED``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``.

        A number without an account is refused as a wrong password is, after the same work.
        """
        with counted_log_in("password", request.dialect):
            return await self._log_in(request)

    async def _log_in(self, request: LogInWithPassword) -> LoggedIn:
        phone = E164(request.phone)
        phone_ref = self._phones.ref(phone)
        context = self._contexts.of(request)
        async with self._password_check.start(phone, phone_ref, request.source, context.known_network) as check:
            try:
                return await self._open(request, check, phone_ref, context)
            except ServiceError as refusal:
                if action := OUTCOMES.get(refusal.code):
                    await self._audit.record(AuditEntry(action, phone_ref, context, check.user_id))
                raise

    async def _open(
        self, request: LogInWithPassword, check: RunningCheck, phone_ref: int, context: ClientContext
    ) -> LoggedIn:
        verified = await self._password_check.verify(check, request.secret, request.plain)
        account = verified.account
        async with self._password_check.refund_on_error(check):
            if account.is_banned:
                raise ServiceError(ErrorCode.ACCOUNT_BANNED)
            return await self._opener.open(
                account,
                AuditEntry(f"{CAUSE}.succeeded", phone_ref, context, account.user_id),
                cause=CAUSE,
                refuse_with=ErrorCode.CREDENTIALS_REFUSED,
                new_hash=verified.new_hash,
                counted=check.started.counted,
                success_buckets=check.success_buckets,
            )
