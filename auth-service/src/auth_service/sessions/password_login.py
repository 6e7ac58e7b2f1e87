"""Log-in with a number and a password."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import ClientContext, ClientContexts
from auth_service.passwords.model import RunningCheck
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.passwords.refusal_hold import HeldCheck
from auth_service.sessions.session_metrics import counted_log_in
from auth_service.sessions.session_opener import SessionOpener
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LoggedIn, LogInWithPassword
from shared.phone import E164, PhoneKeys

CAUSE: Final = "log_in_with_password"
REFUSED_LOG_INS = {
    ErrorCode.CALLER_LIMIT: f"{CAUSE}.limited",
    ErrorCode.CREDENTIALS_REFUSED: f"{CAUSE}.refused",
    ErrorCode.ACCOUNT_BANNED: f"{CAUSE}.banned",
}
"""The refusals that the audit log has, by their error."""


class UserSource(Protocol):
    """The back end that an app had before, if it is asked for users who are not here."""

    async def has_account(self, phone: E164) -> bool:
        """Whether the number has an account now. Raises ``ServiceError(UNAVAILABLE)`` if the source cannot tell."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The number of a log-in, its reference, and the client."""

    phone: E164 = field(repr=False)
    phone_ref: int
    context: ClientContext


@dataclass(frozen=True, slots=True)
class RefusedLogIn:
    """A log-in that was refused, with the check that found the account, or none."""

    error: ServiceError
    check: RunningCheck

    @property
    def is_of_no_account(self) -> bool:
        """Whether the password was refused because the number has no account."""
        return self.error.code is ErrorCode.CREDENTIALS_REFUSED and self.check.user_id is None


class PasswordLogin:
    """The rules of logging in with a password.

    A number without an account is refused as a wrong password is, after the same work. Only then is the user source
    asked: it is reached within the limits on log-ins, at the price of a hash, by a caller that has no slot any more.
    """

    def __init__(
        self,
        opener: SessionOpener,
        *,
        password_check: RateLimitedCheck,
        audit: AuditLog,
        phones: PhoneKeys,
        contexts: ClientContexts,
        user_source: UserSource,
    ) -> None:
        self._opener = opener
        self._password_check = password_check
        self._audit = audit
        self._phones = phones
        self._contexts = contexts
        self._user_source = user_source

    async def log_in(self, request: LogInWithPassword) -> LoggedIn:
        """Open a session. Raises ``CALLER_LIMIT``, ``CREDENTIALS_REFUSED``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``.

        The last one also if the user source cannot tell whether it has the user.
        """
        with counted_log_in("password", request.dialect):
            return await self._log_in(request)

    async def _log_in(self, request: LogInWithPassword) -> LoggedIn:
        phone = E164(request.phone)
        subject = Subject(phone, self._phones.ref(phone), self._contexts.of(request))
        async with self._password_check.holding() as held_check:
            outcome = await self._attempt(request, subject, held_check)
            if isinstance(outcome, RefusedLogIn) and outcome.is_of_no_account and await self._moves(subject, outcome):
                outcome = await self._attempt(request, subject, held_check)
            if isinstance(outcome, LoggedIn):
                return outcome
            if action := REFUSED_LOG_INS.get(outcome.error.code):
                user_id = outcome.check.user_id
                await self._audit.record(AuditEntry(action, subject.phone_ref, subject.context, user_id))
            raise outcome.error

    async def _attempt(
        self, request: LogInWithPassword, subject: Subject, held_check: HeldCheck
    ) -> LoggedIn | RefusedLogIn:
        """Check the password and open a session. Raises ``UNAVAILABLE`` when hashing is busy."""
        network = subject.context.known_network
        async with self._password_check.start_within(
            held_check, subject.phone, subject.phone_ref, request.source, network
        ) as check:
            try:
                return await self._open(request, check, subject.phone_ref, subject.context)
            except ServiceError as refusal:
                return RefusedLogIn(refusal, check)

    async def _moves(self, subject: Subject, refused: RefusedLogIn) -> bool:
        """Whether the user source had the user, who is here now. Their failure is refunded, as it is after trouble."""
        async with self._password_check.refund_on_error(refused.check):
            has_account = await self._user_source.has_account(subject.phone)
        if has_account:
            await self._password_check.refund(refused.check)
        return has_account

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
