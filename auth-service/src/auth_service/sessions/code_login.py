"""Logging in with a code alone: a ticket for the number, and no password."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts import events
from auth_service.accounts.model import AuditEntry, ClientContext, NewSession, StoredAccount
from auth_service.sessions.password_login import Audit, SessionRepository
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LoggedIn, LogInWithCode
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.tickets import Ticket

MAX_REPEATS = 5
"""An answer is lost once or twice; a ticket that costs no hash must not open sessions all its life."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Spent:
    """Whom a ticket let in first, when, and how often it was handed in again since."""

    user_id: int
    at: datetime
    repeats: int


class CodeLoginRepository(Protocol):
    """Where tickets are spent on signing in."""

    async def holder(self, phone: E164) -> StoredAccount | None:
        """The account of the number."""

    async def spend(self, verification_id: UUID, user_id: int) -> Spent:
        """Spend the ticket for this user, or count a repeat; either way, say who was first."""


class CodeLogin:
    """The rules. A lost answer may be asked for again: the ticket opens another session ``MAX_REPEATS`` times."""

    def __init__(
        self,
        repository: CodeLoginRepository,
        *,
        sessions: SessionRepository,
        audit: Audit,
        tickets: TicketVerifier,
        phones: PhoneKeys,
    ) -> None:
        self._repository = repository
        self._sessions = sessions
        self._audit = audit
        self._tickets = tickets
        self._phones = phones

    async def sign_in(self, call: LogInWithCode) -> LoggedIn:
        """Open a session. Raises ``CODE_REFUSED``, ``NO_ACCOUNT``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``."""
        ticket = self._tickets.open(call.ticket, Purpose.SIGN_IN)
        origin = ClientContext(call.dialect, call.client)
        phone_ref = self._phones.ref(ticket.number)
        try:
            return await self._judge(ticket, phone_ref, origin)
        except ServiceError as refusal:
            if refusal.code is not ErrorCode.UNAVAILABLE:
                await self._audit.record(AuditEntry("sign_in.refused", phone_ref, origin))
            raise

    async def _judge(self, ticket: Ticket, phone_ref: int, origin: ClientContext) -> LoggedIn:
        held = await self._repository.holder(ticket.number)
        if held is None:
            raise ServiceError(ErrorCode.NO_ACCOUNT)
        if held.banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        user_id = held.account.user_id
        spent = await self._repository.spend(ticket.verification_id, user_id)
        # A new password ended every session, so also those that this ticket could still open.
        if spent.user_id != user_id or spent.at < held.password_changed_at or spent.repeats > MAX_REPEATS:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        session = NewSession(user_id, origin)
        attempt = AuditEntry("sign_in.succeeded", phone_ref, origin, user_id)
        account = await self._sessions.open(held, session, attempt, events.session_opened(session, "sign_in"))
        if account is None:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        log.info("session.opened", user_id=user_id, session_id=str(session.session_id), cause="sign_in")
        return LoggedIn(account=account, session_id=session.session_id, token=session.token)
