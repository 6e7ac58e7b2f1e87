"""Redeems a ticket for registration or password reset: once, and a repeat of the same request succeeds again.

A request with a secret may be repeated for as long as its ticket lives; a wrong secret counts as a failed log-in, or a
used code would be a way to guess the password. A request without a secret tells nothing about who repeats it: it
succeeds again only in the same network, for a minute and a few times.
"""

import contextlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import ClientContext, ClientContexts
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.hashing_slots import HashingSlot
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.retirement.model import ConflictError
from auth_service.sessions.session_opener import SessionOpener
from auth_service.tickets.redemption_lock import RedemptionLocks
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events.words import OpenedCause
from shared.internal_api.auth import LoggedIn, Register, ResetPassword
from shared.internal_api.sms import Purpose
from shared.passwords.own_number import is_own_number
from shared.phone import E164, PhoneKeys
from shared.tickets import Ticket

CAUSES: Mapping[Purpose, OpenedCause] = {Purpose.SIGN_UP: "register", Purpose.RESET_PASSWORD: "reset_password"}
"""The operation of a purpose, as events and the audit log name it."""

MAX_ATTEMPTS = 2
log = structlog.get_logger()
Request = Register | ResetPassword


@dataclass(frozen=True, slots=True)
class TicketState:
    """The user who spent a ticket and when, if it is spent, and the account of its number, if there is one.

    ``freed_at`` is when an account last left the number. ``name_taken`` says whether an account has the username of the
    request.
    """

    spent_by: int | None
    account: StoredAccount | None
    name_taken: bool = False
    spent_at: datetime | None = None
    freed_at: datetime | None = None

    def accepts(self, ticket: Ticket) -> bool:
        """Whether the ticket can be redeemed: no change of the account, and no end of an earlier one, has ended it."""
        if ticket.repeats_only or (self.freed_at is not None and ticket.issued_at <= self.freed_at):
            return False
        return ticket.purpose is Purpose.SIGN_UP or self.account is None or self.account.accepts(ticket)

    @property
    def repeatable(self) -> StoredAccount | None:
        """The account that spent the ticket, if it still has the number and nothing has ended its tickets since."""
        account, spent_at = self.account, self.spent_at
        if account is None or spent_at is None or account.user_id != self.spent_by:
            return None
        return account if account.repeats_since(spent_at) else None


UNREAD = TicketState(spent_by=None, account=None)
"""The state that most tickets are in. An account without a password is added as if it were known."""

Fulfil = Callable[[Ticket, TicketState], Awaitable[LoggedIn]]
"""Spends an unspent ticket. Raises ``ConflictError`` when another request was faster."""


class RedemptionRepository(Protocol):
    """The state of tickets."""

    async def ticket_state(self, verification_id: UUID, phone: E164, name: str | None) -> TicketState:
        """The state of a ticket, of its number and of a username."""

    async def count_repeat(self, verification_id: UUID, network_ref: int) -> bool:
        """Count a repeat without a secret. False where it may not be repeated: elsewhere, too late, or too often."""


class TicketRedemption:
    """The rules that registration and password reset share."""

    def __init__(
        self,
        repository: RedemptionRepository,
        *,
        opener: SessionOpener,
        audit: AuditLog,
        passwords: PasswordHasher,
        password_check: RateLimitedCheck,
        tickets: TicketVerifier,
        phones: PhoneKeys,
        contexts: ClientContexts,
    ) -> None:
        self._repository = repository
        self._opener = opener
        self._audit = audit
        self._passwords = passwords
        self._password_check = password_check
        self._tickets = tickets
        self._phones = phones
        self._contexts = contexts
        self._locks = RedemptionLocks()

    async def redeem(self, request: Request, purpose: Purpose, fulfil: Fulfil) -> LoggedIn:
        """Verify the ticket and ``fulfil`` the request, or repeat its success.

        Raises ``CODE_REFUSED``, ``PASSWORD_LENGTH`` (the password is the number), ``ACCOUNT_BANNED``, ``UNAVAILABLE``.
        """
        ticket = await self._verified(request, purpose)
        try:
            _check_request(request, ticket.number)
            return await self._redeem_in_turn(ticket, request, fulfil)
        except ServiceError as refusal:
            if refusal.code is not ErrorCode.UNAVAILABLE:
                entry = self.entry(ticket, "refused", self.context_of(request))
                await self._audit.record(replace(entry, detail=refusal.code.value))
            raise

    def hashing_slot(self, request: Request, ticket: Ticket) -> AbstractAsyncContextManager[HashingSlot]:
        """A slot at the hashing threads for a block. Raises ``UNAVAILABLE``."""
        return self._passwords.slot(request.source, self._phones.ref(ticket.number))

    def context_of(self, request: Request) -> ClientContext:
        """The app that sent the request, and its network."""
        return self._contexts.of(request)

    def entry(self, ticket: Ticket, outcome: str, context: ClientContext, user_id: int | None = None) -> AuditEntry:
        """The audit entry of a redemption."""
        return AuditEntry(f"{CAUSES[ticket.purpose]}.{outcome}", self._phones.ref(ticket.number), context, user_id)

    async def _verified(self, request: Request, purpose: Purpose) -> Ticket:
        try:
            return self._tickets.verify(request.ticket, purpose)
        except ServiceError:
            entry = AuditEntry(f"{CAUSES[purpose]}.unproven", None, self.context_of(request))
            await self._audit.record_unproven(entry)
            raise

    async def _redeem_in_turn(self, ticket: Ticket, request: Request, fulfil: Fulfil) -> LoggedIn:
        digest = self._passwords.digest(request.secret or "")
        async with self._locks.locked(ticket.verification_id) as lock:
            if lock.secret_digest is None:
                redeemed = await self._redeem(ticket, request, fulfil)
                lock.secret_digest, lock.version = digest, redeemed.account.version
                return redeemed
        # This process redeemed the ticket a moment ago, so the two secrets can be compared without hashing.
        if not hmac.compare_digest(lock.secret_digest, digest):
            raise ServiceError(ErrorCode.CODE_REFUSED)
        state = await self._state(ticket, request)
        if state.account is None or state.account.account.version != lock.version:
            await self._check_same_secret(ticket, state, request)
        return await self._repeat(ticket, request, state)

    async def _redeem(self, ticket: Ticket, request: Request, fulfil: Fulfil) -> LoggedIn:
        if request.secret is None and not ticket.repeats_only:
            with contextlib.suppress(ConflictError):  # the statement that adds an account finds all that is in its way
                return await fulfil(ticket, UNREAD)
        for _ in range(MAX_ATTEMPTS):  # after a conflict the ticket is spent, or the number or the name is taken
            state = await self._state(ticket, request)
            if state.spent_by is not None:
                await self._check_same_secret(ticket, state, request)
                return await self._repeat(ticket, request, state)
            if not state.accepts(ticket):
                raise ServiceError(ErrorCode.CODE_REFUSED)
            try:
                return await fulfil(ticket, state)
            except ConflictError:
                log.info("redemption.contended", verification_id=str(ticket.verification_id))
        raise unavailable()

    async def _state(self, ticket: Ticket, request: Request) -> TicketState:
        name = request.name if isinstance(request, Register) else None
        return await self._repository.ticket_state(ticket.verification_id, ticket.number, name)

    async def _check_same_secret(self, ticket: Ticket, state: TicketState, request: Request) -> None:
        if request.secret is None:
            same = state.account is not None and state.account.password_hash is None
        else:
            same = await self._is_password(ticket, request, request.secret)
        if not same:
            raise ServiceError(ErrorCode.CODE_REFUSED)

    async def _is_password(self, ticket: Ticket, request: Request, secret: str) -> bool:
        """Whether the secret is the password of the number, within the limits on log-ins."""
        network = self.context_of(request).known_network
        phone_ref = self._phones.ref(ticket.number)
        async with self._password_check.start(ticket.number, phone_ref, request.source, network) as check:
            try:
                await self._password_check.verify(check, secret)
            except ServiceError as refusal:
                if refusal.code in {ErrorCode.CREDENTIALS_REFUSED, ErrorCode.CALLER_LIMIT}:
                    return False
                raise
            await self._password_check.refund(check)
        return True

    async def _repeat(self, ticket: Ticket, request: Request, state: TicketState) -> LoggedIn:
        """Repeat the success of the same request, with a session of its own."""
        account = state.repeatable
        if account is None:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        if isinstance(request, Register) and request.name != account.account.name:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        if account.is_banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        context = self.context_of(request)
        if request.secret is None and (
            ticket.repeats_only or not await self._repository.count_repeat(ticket.verification_id, context.network_ref)
        ):
            raise ServiceError(ErrorCode.CODE_REFUSED)
        entry = self.entry(ticket, "repeated", context, account.user_id)
        return await self._opener.open_with_ticket(account, entry, cause=CAUSES[ticket.purpose])


def _check_request(request: Request, number: E164) -> None:
    if request.phone not in (None, number):
        raise ServiceError(ErrorCode.CODE_REFUSED)
    # Without a phone in the request the gateway could not compare password and number.
    if request.phone is None and request.secret is not None and is_own_number(request.secret, request.plain, number):
        raise ServiceError(ErrorCode.PASSWORD_LENGTH, field="password")
