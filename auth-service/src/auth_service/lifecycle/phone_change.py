"""Change of number: proven by a ticket for each of the two numbers. It ends the user's other sessions."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog

from auth_service.accounts.dormancy import Dormancy
from auth_service.accounts.events import user_updated
from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import ClientContext, ClientContexts
from auth_service.retirement.model import ConflictError
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events.envelope import OutboxMessage
from shared.internal_api.auth import Account, ChangePhone, FindChange
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.tickets import Ticket

CAUSE: Final = "change_phone"
MAX_ATTEMPTS = 3
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PhoneChangeState:
    """The account, the account that has the new number, and what became of the two tickets.

    ``spent`` means that at least one ticket is spent; ``changed_at`` is when this user spent both in one change.
    ``freed_at`` is when an account last left the new number.
    """

    account: StoredAccount | None
    owner: StoredAccount | None
    spent: bool
    changed_at: datetime | None
    freed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewPhone:
    """A new number about to be written, if the account is still as it was read. All sessions but one end.

    ``retiring`` is the account that has the number and loses it.
    """

    account: StoredAccount
    phone: E164 = field(repr=False)
    verification_ids: tuple[UUID, UUID]
    kept_session_id: UUID
    context: ClientContext
    retiring: StoredAccount | None


class PhoneChangeRepository(Protocol):
    """Where numbers are changed."""

    async def change_state(self, user_id: int, tickets: tuple[UUID, UUID], phone: E164) -> PhoneChangeState:
        """The state of the account, of both tickets (the old number's first) and of the new number."""

    async def change(self, change: NewPhone, entry: AuditEntry, message: OutboxMessage) -> Account:
        """Spend both tickets, write the number and end the other sessions, or do nothing. Raises ``ConflictError``.

        Every other ticket of the user ends, and of the known networks only the present one stays.
        """

    async def find_change(self, user_id: int, verification_id: UUID) -> UUID | None:
        """The other verification that this user spent in the same change."""


class UserSource(Protocol):
    """The back end that an app had before, if it is asked for users who are not here."""

    async def has_account(self, phone: E164) -> bool:
        """Whether the number has an account now. Raises ``ServiceError(UNAVAILABLE)`` if the source cannot tell."""


class PhoneChange:
    """The rules of changing a number. A repeat of the same change succeeds again."""

    def __init__(
        self,
        repository: PhoneChangeRepository,
        *,
        audit: AuditLog,
        tickets: TicketVerifier,
        phones: PhoneKeys,
        contexts: ClientContexts,
        dormancy: Dormancy,
        user_source: UserSource,
    ) -> None:
        self._repository = repository
        self._audit = audit
        self._tickets = tickets
        self._phones = phones
        self._contexts = contexts
        self._dormancy = dormancy
        self._user_source = user_source

    async def change(self, request: ChangePhone) -> Account:
        """Set the number of the new ticket. The dormant account of that number, if there is one, retires.

        Raises ``CODE_REFUSED``, ``NUMBER_TAKEN``, ``ACCOUNT_BANNED``, ``UNAVAILABLE``, and ``UNAUTHENTICATED`` when
        there is no such account.
        """
        context = self._contexts.of(request)
        old, new = await self._verified(request, context)
        try:
            return await self._change(request, old, new, context)
        except ServiceError as refusal:
            if refusal.code is not ErrorCode.UNAVAILABLE:
                await self._audit.record(self._refused(request, context, refusal.code.value))
            raise

    async def find(self, request: FindChange) -> UUID | None:
        """The old number's verification in the change that spent this ticket. Raises ``CODE_REFUSED``."""
        return await self._repository.find_change(request.user_id, self._verify(request.new_ticket).verification_id)

    async def _verified(self, request: ChangePhone, context: ClientContext) -> tuple[Ticket, Ticket]:
        try:
            return self._verify(request.old_ticket), self._verify(request.new_ticket)
        except ServiceError:
            await self._audit.record_unproven(self._refused(request, context, "unproven"))
            raise

    @staticmethod
    def _refused(request: ChangePhone, context: ClientContext, detail: str) -> AuditEntry:
        return AuditEntry(f"{CAUSE}.refused", None, context, request.user_id, request.session_id, detail)

    def _verify(self, ticket: str) -> Ticket:
        return self._tickets.verify(ticket, Purpose.CHANGE_PHONE)

    async def _change(self, request: ChangePhone, old: Ticket, new: Ticket, context: ClientContext) -> Account:
        tickets = (old.verification_id, new.verification_id)
        for _ in range(MAX_ATTEMPTS):  # after a conflict a ticket, the number or the account has changed
            state = await self._repository.change_state(request.user_id, tickets, new.number)
            account = _usable_account(state)
            if state.spent:
                return _repeated(state, account, new)
            if account.account.phone != old.number or not self._accepts(state, account, old, new):
                raise ServiceError(ErrorCode.CODE_REFUSED)
            if state.owner is not None and (state.owner == account or not self._dormancy.includes(state.owner)):
                raise ServiceError(ErrorCode.NUMBER_TAKEN)
            if state.owner is None and await self._user_source.has_account(new.number):
                continue  # its user moved in just now
            change = NewPhone(account, new.number, tickets, request.session_id, context, retiring=state.owner)
            try:
                return await self._write(change)
            except ConflictError:
                log.info("phone_change.contended", user_id=request.user_id)
        raise unavailable()

    def _accepts(self, state: PhoneChangeState, account: StoredAccount, old: Ticket, new: Ticket) -> bool:
        """Whether both tickets can be redeemed: nothing has ended them since they were made.

        That of the old number is the proof that the user is there now, so it has to be fresh.
        """
        if not self._tickets.is_fresh(old) or (state.freed_at is not None and new.issued_at <= state.freed_at):
            return False
        return all(not ticket.repeats_only and account.accepts(ticket) for ticket in (old, new))

    async def _write(self, change: NewPhone) -> Account:
        before = change.account.account
        after = before.model_copy(update={"phone": change.phone, "version": before.version + 1})
        phone_ref, session_id = self._phones.ref(change.phone), change.kept_session_id
        entry = AuditEntry(f"{CAUSE}.succeeded", phone_ref, change.context, before.user_id, session_id)
        message = user_updated(replace(change.account, account=after), self._phones)
        changed = await self._repository.change(change, entry, message)
        log.info("phone.changed", user_id=before.user_id)
        return changed


def _usable_account(state: PhoneChangeState) -> StoredAccount:
    if state.account is None:
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    if state.account.is_banned:
        raise ServiceError(ErrorCode.ACCOUNT_BANNED)
    return state.account


def _repeated(state: PhoneChangeState, account: StoredAccount, new: Ticket) -> Account:
    """The same success again, while the account still has the number of this change and nothing ended its tickets."""
    changed_at = state.changed_at
    if changed_at is None or account.account.phone != new.number or not account.repeats_since(changed_at):
        raise ServiceError(ErrorCode.CODE_REFUSED)
    return account.account
