"""Log-in with a code: a ticket for the number, and no password."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import ClientContext
from auth_service.sessions.session_opener import SessionOpener
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LoggedIn, LogInWithCode
from shared.internal_api.sms import Purpose
from shared.networks import network_of
from shared.phone import E164, PhoneKeys
from shared.tickets import Ticket

CAUSE: Final = "log_in_with_code"
MAX_REPEATS = 5
"""A response gets lost once or twice. Without this limit a ticket could open sessions for all of its ten minutes."""


@dataclass(frozen=True, slots=True)
class TicketUse:
    """The user who redeemed a ticket first, when, and how often the ticket was used again since."""

    user_id: int
    first_used_at: datetime
    repeats: int


class CodeLoginRepository(Protocol):
    """The accounts, and the tickets that were spent on logging in."""

    async def find_account(self, phone: E164) -> StoredAccount | None:
        """The account of the number."""

    async def spend_ticket(self, verification_id: UUID, user_id: int) -> TicketUse:
        """Spend the ticket for this user, or count a repeat; the first use decides."""


class CodeLogin:
    """The rules of logging in with a code. A repeat (the response was lost) opens another session, a few times."""

    def __init__(
        self,
        repository: CodeLoginRepository,
        *,
        opener: SessionOpener,
        audit: AuditLog,
        tickets: TicketVerifier,
        phones: PhoneKeys,
    ) -> None:
        self._repository = repository
        self._opener = opener
        self._audit = audit
        self._tickets = tickets
        self._phones = phones

    async def log_in(self, request: LogInWithCode) -> LoggedIn:
        """Open a session. Raises ``CODE_REFUSED``, ``NO_ACCOUNT``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``."""
        ticket = self._tickets.verify(request.ticket, Purpose.SIGN_IN)
        network = network_of(request.address) if request.address else ""
        context = ClientContext(request.dialect, request.client, network)
        phone_ref = self._phones.ref(ticket.number)
        try:
            account = await self._find_account(ticket)
            await self._spend(ticket, account)
            entry = AuditEntry(f"{CAUSE}.succeeded", phone_ref, context, account.user_id)
            return await self._opener.open(account, entry, cause=CAUSE, refuse_with=ErrorCode.CODE_REFUSED)
        except ServiceError as refusal:
            if refusal.code is not ErrorCode.UNAVAILABLE:
                outcome = "banned" if refusal.code is ErrorCode.ACCOUNT_BANNED else "refused"
                await self._audit.record(AuditEntry(f"{CAUSE}.{outcome}", phone_ref, context))
            raise

    async def _find_account(self, ticket: Ticket) -> StoredAccount:
        account = await self._repository.find_account(ticket.number)
        if account is None:
            raise ServiceError(ErrorCode.NO_ACCOUNT)
        if account.is_banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        return account

    async def _spend(self, ticket: Ticket, account: StoredAccount) -> None:
        use = await self._repository.spend_ticket(ticket.verification_id, account.user_id)
        # A new password ended every earlier session, and with them those that a spent ticket could open again.
        outdated = use.first_used_at < account.password_changed_at
        if use.user_id != account.user_id or outdated or use.repeats > MAX_REPEATS:
            raise ServiceError(ErrorCode.CODE_REFUSED)
