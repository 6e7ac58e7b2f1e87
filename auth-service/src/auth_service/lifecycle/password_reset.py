"""Password reset: a ticket sets a new password, ends every session of the user, and opens a new one."""

from dataclasses import replace
from functools import partial
from typing import Protocol

import structlog

from auth_service.accounts.dormancy import Dormancy
from auth_service.audit import AuditEntry
from auth_service.lifecycle.redemption import TicketRedemption, TicketState
from auth_service.passwords.hasher import PasswordHasher
from auth_service.sessions.model import NewSession
from auth_service.sessions.session_metrics import OPENED
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, LoggedIn, ResetPassword
from shared.internal_api.sms import Purpose
from shared.tickets import Ticket

log = structlog.get_logger()


class PasswordResetRepository(Protocol):
    """Where passwords are reset."""

    async def reset(self, ticket: Ticket, password_hash: str, session: NewSession, entry: AuditEntry) -> Account:
        """Spend the ticket, set the hash, end every session and open this one. Raises ``ConflictError``.

        Of the known networks only the present one stays.
        """


class PasswordReset:
    """The rules of a password reset."""

    def __init__(
        self,
        repository: PasswordResetRepository,
        *,
        redemption: TicketRedemption,
        passwords: PasswordHasher,
        dormancy: Dormancy,
    ) -> None:
        self._repository = repository
        self._redemption = redemption
        self._passwords = passwords
        self._dormancy = dormancy

    async def reset(self, request: ResetPassword) -> LoggedIn:
        """Set the password and open a session. Raises ``NO_ACCOUNT``, and what ``TicketRedemption.redeem`` raises.

        A number whose account is dormant has none for those who only have the number.
        """
        return await self._redemption.redeem(request, Purpose.RESET_PASSWORD, partial(self._set_password, request))

    async def _set_password(self, request: ResetPassword, ticket: Ticket, state: TicketState) -> LoggedIn:
        if state.account is None or self._dormancy.includes(state.account):
            raise ServiceError(ErrorCode.NO_ACCOUNT)
        if state.account.is_banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        async with self._redemption.hashing_slot(request, ticket) as slot:
            password_hash = await self._passwords.hash(slot, request.secret)
        session = NewSession(state.account.user_id, self._redemption.context_of(request))
        entry = self._redemption.entry(ticket, "succeeded", session.context, session.user_id)
        entry = replace(entry, session_id=session.session_id)
        account = await self._repository.reset(ticket, password_hash, session, entry)
        OPENED.labels("reset_password", session.context.dialect).inc()
        log.info("password.reset", user_id=session.user_id, session_id=str(session.session_id))
        return LoggedIn(account=account, session_id=session.session_id, token=session.token)
