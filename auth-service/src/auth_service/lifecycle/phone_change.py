"""Another number for an account: proven by a ticket for each of the two numbers, told to everybody."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts import events
from auth_service.accounts.model import AuditEntry, ClientContext, NewPhone, PhoneChangeState, StoredAccount
from auth_service.lifecycle.registration import ConflictError
from auth_service.sessions.password_login import Audit
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events import OutboxMessage
from shared.internal_api.auth import Account, ChangePhone, FindChange
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.tickets import Ticket

log = structlog.get_logger()


class PhoneChangeRepository(Protocol):
    """Where numbers are changed."""

    async def change_state(self, user_id: int, tickets: tuple[UUID, UUID], phone: E164) -> PhoneChangeState:
        """The account, who has the number now, and what became of the old and the new number's ticket."""

    async def change(self, change: NewPhone, attempt: AuditEntry, messages: Sequence[OutboxMessage]) -> Account:
        """Spend both tickets and write all of it, or nothing. Raises ``ConflictError``."""

    async def find_change(self, user_id: int, verification_id: UUID) -> UUID | None:
        """The verification that this user spent in one change with the given one."""


class PhoneChange:
    """The rules of changing a number. Sessions stay; repeating a change repeats its success."""

    def __init__(
        self, repository: PhoneChangeRepository, *, audit: Audit, tickets: TicketVerifier, phones: PhoneKeys
    ) -> None:
        self._repository = repository
        self._audit = audit
        self._tickets = tickets
        self._phones = phones

    async def change(self, call: ChangePhone) -> Account:
        """Give the account the new ticket's number.

        Raises ``CODE_REFUSED``, ``NUMBER_TAKEN``, ``ACCOUNT_BANNED``, ``UNAUTHENTICATED`` (no such account).
        """
        old, new = self._open(call.old_ticket), self._open(call.new_ticket)
        origin = ClientContext(call.dialect, call.client)
        try:
            return await self._judge(call.user_id, old, new, origin)
        except ServiceError as refusal:
            if refusal.code is not ErrorCode.UNAVAILABLE:
                await self._audit.record(AuditEntry("change_phone.refused", None, origin, call.user_id))
            raise

    async def find(self, call: FindChange) -> UUID | None:
        """The old number's verification in the change that this ticket made. Raises ``CODE_REFUSED``."""
        return await self._repository.find_change(call.user_id, self._open(call.new_ticket).verification_id)

    def _open(self, ticket: str) -> Ticket:
        return self._tickets.open(ticket, Purpose.CHANGE_PHONE)

    async def _judge(self, user_id: int, old: Ticket, new: Ticket, origin: ClientContext) -> Account:
        tickets = (old.verification_id, new.verification_id)
        for _ in range(3):  # a conflict means that ticket, number or account are no longer what they were: look again
            state = await self._repository.change_state(user_id, tickets, new.number)
            held = _living(state)
            if state.spent:
                return _repeated(state, held, new)
            if held.account.phone != old.number:
                raise ServiceError(ErrorCode.CODE_REFUSED)
            if state.taken_by is not None:
                raise ServiceError(ErrorCode.NUMBER_TAKEN)
            try:
                return await self._write(held, tickets, new.number, origin)
            except ConflictError:
                log.info("number.contended", user_id=user_id)
        raise unavailable()

    async def _write(
        self, held: StoredAccount, tickets: tuple[UUID, UUID], number: E164, origin: ClientContext
    ) -> Account:
        account = held.account
        after = account.model_copy(update={"phone": number, "version": account.version + 1})
        change = NewPhone(account.user_id, account.version, number, tickets)
        attempt = AuditEntry("change_phone.succeeded", self._phones.ref(number), origin, account.user_id)
        message = events.updated(replace(held, account=after), self._phones)
        changed = await self._repository.change(change, attempt, [message])
        log.info("number.changed", user_id=account.user_id)
        return changed


def _living(state: PhoneChangeState) -> StoredAccount:
    if state.held is None:
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    if state.held.banned:
        raise ServiceError(ErrorCode.ACCOUNT_BANNED)
    return state.held


def _repeated(state: PhoneChangeState, held: StoredAccount, new: Ticket) -> Account:
    """The same success again, while the account still has the number that it was given."""
    if not state.together or held.account.phone != new.number:
        raise ServiceError(ErrorCode.CODE_REFUSED)
    return held.account
