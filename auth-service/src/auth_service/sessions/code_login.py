"""Log-in with a code: a ticket for the number, and no password."""

from typing import Final, Protocol
from uuid import UUID

from auth_service.accounts.dormancy import Dormancy
from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import ClientContext, ClientContexts
from auth_service.sessions.session_metrics import counted_log_in
from auth_service.sessions.session_opener import SessionOpener
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LoggedIn, LogInWithCode
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.tickets import Ticket

CAUSE: Final = "log_in_with_code"
REFUSED: Final = f"{CAUSE}.refused"
BANNED: Final = f"{CAUSE}.banned"
"""The actions of a log-in with a ticket that opens no session."""


class CodeLoginRepository(Protocol):
    """The accounts, and the tickets that were spent on logging in."""

    async def find_account(self, phone: E164) -> StoredAccount | None:
        """The account of the number."""

    async def spend_ticket(self, verification_id: UUID, user_id: int, network_ref: int) -> bool:
        """Spend the ticket for this user, or count a repeat. False if it is spent and may not be repeated."""


class CodeLogin:
    """The rules of logging in with a code.

    A response gets lost once or twice, so a repeat opens another session: from the same network, within a minute, a few
    times. A ticket has no secret that could tell its owner from others, so it opens none for anyone else.
    """

    def __init__(
        self,
        repository: CodeLoginRepository,
        *,
        opener: SessionOpener,
        audit: AuditLog,
        tickets: TicketVerifier,
        phones: PhoneKeys,
        contexts: ClientContexts,
        dormancy: Dormancy,
    ) -> None:
        self._repository = repository
        self._opener = opener
        self._audit = audit
        self._tickets = tickets
        self._phones = phones
        self._contexts = contexts
        self._dormancy = dormancy

    async def log_in(self, request: LogInWithCode) -> LoggedIn:
        """Open a session. Raises ``CODE_REFUSED``, ``NO_ACCOUNT``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``.

        A number whose account is dormant has none for those who only have the number.
        """
        with counted_log_in("code", request.dialect):
            return await self._log_in(request)

    async def _log_in(self, request: LogInWithCode) -> LoggedIn:
        context = self._contexts.of(request)
        ticket = await self._verified(request.ticket, context)
        phone_ref = self._phones.ref(ticket.number)
        try:
            account = await self._find_account(ticket)
            await self._spend(ticket, account, context)
            entry = AuditEntry(f"{CAUSE}.succeeded", phone_ref, context, account.user_id)
            return await self._opener.open_with_ticket(account, entry, cause=CAUSE)
        except ServiceError as refusal:
            if refusal.code is not ErrorCode.UNAVAILABLE:
                action = BANNED if refusal.code is ErrorCode.ACCOUNT_BANNED else REFUSED
                await self._audit.record(AuditEntry(action, phone_ref, context, detail=refusal.code.value))
            raise

    async def _verified(self, ticket: str, context: ClientContext) -> Ticket:
        try:
            return self._tickets.verify(ticket, Purpose.SIGN_IN)
        except ServiceError:
            await self._audit.record_unproven(AuditEntry(f"{CAUSE}.unproven", None, context))
            raise

    async def _find_account(self, ticket: Ticket) -> StoredAccount:
        account = await self._repository.find_account(ticket.number)
        if account is None or self._dormancy.includes(account):
            raise ServiceError(ErrorCode.NO_ACCOUNT)
        if account.is_banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        return account

    async def _spend(self, ticket: Ticket, account: StoredAccount, context: ClientContext) -> None:
        if ticket.repeats_only or not account.accepts(ticket):
            raise ServiceError(ErrorCode.CODE_REFUSED)
        if not await self._repository.spend_ticket(ticket.verification_id, account.user_id, context.network_ref):
            raise ServiceError(ErrorCode.CODE_REFUSED)
