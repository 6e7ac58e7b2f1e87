"""Accounts: open one with a ticket, set a new password with a ticket, look one up."""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts import events
from auth_service.accounts.model import AuditEntry, ClientContext, NewAccount, NewSession, TicketState
from auth_service.passwords.hasher import PasswordHasher
from auth_service.sessions.password_login import Audit, SessionRepository
from auth_service.tickets.redemption_lock import RedemptionLocks
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events import OutboxMessage
from shared.internal_api.auth import Account, LoggedIn, Register, ResetPassword
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys, split
from shared.tickets import Ticket

LOWEST_ID, BEYOND_IDS = 2**47, 2**53
"""User ids are random in this range: exact in JavaScript, and telling nobody how many users there are."""

ACTIONS = {Purpose.SIGN_UP: "register", Purpose.RESET_PASSWORD: "reset_password"}
log = structlog.get_logger()
Redemption = Register | ResetPassword
Fulfil = Callable[[Ticket, Redemption, TicketState], Awaitable[LoggedIn]]


class ConflictError(Exception):
    """Another process was quicker: the ticket, or its number, is no longer what it was a moment ago."""


class RegistrationRepository(Protocol):
    """Where accounts are kept."""

    async def have(self, phones: Sequence[E164]) -> list[bool]:
        """Whether the number has an account."""

    async def ticket_state(self, verification_id: UUID, phone: E164, name: str | None) -> TicketState:
        """Whether the ticket was spent, who has its number, and whether the name is taken."""

    async def add(
        self,
        verification_id: UUID,
        account: NewAccount,
        session: NewSession,
        attempt: AuditEntry,
        messages: Sequence[OutboxMessage],
    ) -> Account:
        """Spend the ticket and write all of it, or nothing. Raises ``ConflictError``."""

    async def replace_password(
        self, verification_id: UUID, user_id: int, password_hash: str | None, session: NewSession, attempt: AuditEntry
    ) -> Account:
        """Spend the ticket, set the password_hash, end every session, open this one. Raises ``ConflictError``."""


class Registration:
    """The rules of registration and password reset. A ticket is redeemed once; repeating a call repeats its success."""

    def __init__(
        self,
        repository: RegistrationRepository,
        *,
        sessions: SessionRepository,
        audit: Audit,
        passwords: PasswordHasher,
        tickets: TicketVerifier,
        phones: PhoneKeys,
        nickname_prefix: str,
    ) -> None:
        self._repository = repository
        self._sessions = sessions
        self._audit = audit
        self._passwords = passwords
        self._tickets = tickets
        self._phones = phones
        self._nickname_prefix = nickname_prefix
        self._turns = RedemptionLocks()

    async def look_up(self, phones: Sequence[str]) -> list[bool]:
        """Which of the numbers have an account, in their order."""
        return await self._repository.have([E164(phone) for phone in phones])

    async def register(self, call: Register) -> LoggedIn:
        """Open an account and a session. Raises ``CODE_REFUSED``, ``NUMBER_TAKEN``, ``NAME_TAKEN``, ``UNAVAILABLE``."""
        return await self._redeem(call, Purpose.SIGN_UP, self._create)

    async def reset_password(self, call: ResetPassword) -> LoggedIn:
        """Set a password and end every earlier session. Raises ``CODE_REFUSED``, ``NO_ACCOUNT``, ``ACCOUNT_BANNED``."""
        return await self._redeem(call, Purpose.RESET_PASSWORD, self._replace)

    async def _redeem(self, call: Redemption, purpose: Purpose, fulfil: Fulfil) -> LoggedIn:
        ticket = self._tickets.open(call.ticket, purpose)
        number = ticket.number
        try:
            if call.phone not in (None, number):
                raise ServiceError(ErrorCode.CODE_REFUSED)
            if call.phone is None and call.secret in _secrets_of(number):  # the gateway could not compare the two
                raise ServiceError(ErrorCode.PASSWORD_LENGTH, field="password")
            return await self._in_turn(ticket, call, fulfil)
        except ServiceError as refusal:
            if refusal.code is not ErrorCode.UNAVAILABLE:
                attempt = AuditEntry(f"{ACTIONS[purpose]}.refused", self._phones.ref(number), _origin(call))
                await self._audit.record(attempt)
            raise

    async def _in_turn(self, ticket: Ticket, call: Redemption, fulfil: Fulfil) -> LoggedIn:
        proof = self._passwords.proof(call.secret or "")
        async with self._turns.take(ticket.verification_id) as turn:
            if turn.proof is None:
                redeemed = await self._judge(ticket, call, fulfil)
                turn.proof, turn.version = proof, redeemed.account.version
                return redeemed
        # This process has just redeemed the ticket: whether it was with the same secret is known without hashing.
        if not hmac.compare_digest(turn.proof, proof):
            raise ServiceError(ErrorCode.CODE_REFUSED)
        state = await self._state(ticket, call)
        if state.held is None or state.held.account.version != turn.version:
            await self._check_same_secret(state, call)
        return await self._reopen(ticket, call, state)

    async def _judge(self, ticket: Ticket, call: Redemption, fulfil: Fulfil) -> LoggedIn:
        for _ in range(2):  # a conflict means that the ticket is spent now, or number or name taken: look again
            state = await self._state(ticket, call)
            if state.spent_by is not None:
                await self._check_same_secret(state, call)
                return await self._reopen(ticket, call, state)
            try:
                return await fulfil(ticket, call, state)
            except ConflictError:
                log.info("ticket.contended", verification_id=str(ticket.verification_id))
        raise unavailable()

    async def _state(self, ticket: Ticket, call: Redemption) -> TicketState:
        return await self._repository.ticket_state(ticket.verification_id, ticket.number, _name(call))

    async def _check_same_secret(self, state: TicketState, call: Redemption) -> None:
        password_hash = state.held.password_hash if state.held else None
        if call.secret is None:
            same = state.held is not None and password_hash is None
        else:
            same = (await self._passwords.verify(password_hash, call.secret)).matches
        if not same:
            raise ServiceError(ErrorCode.CODE_REFUSED)

    async def _reopen(self, ticket: Ticket, call: Redemption, state: TicketState) -> LoggedIn:
        """A repeat with the same values: the same success again, with a session of its own."""
        held = state.held
        if held is None or held.account.user_id != state.spent_by:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        if isinstance(call, Register) and call.name != held.account.name:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        if held.banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        action = ACTIONS[ticket.purpose]
        session = NewSession(held.account.user_id, _origin(call))
        attempt = self._attempt(f"{action}.repeated", ticket, session)
        account = await self._sessions.open(held, session, attempt, events.session_opened(session, action))
        if account is None:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        log.info("session.opened", user_id=account.user_id, session_id=str(session.session_id), cause=attempt.action)
        return LoggedIn(account=account, session_id=session.session_id, token=session.token)

    async def _create(self, ticket: Ticket, call: Redemption, state: TicketState) -> LoggedIn:
        if state.held is not None:
            raise ServiceError(ErrorCode.NUMBER_TAKEN)
        if state.name_taken:
            raise ServiceError(ErrorCode.NAME_TAKEN)
        user_id = new_user_id()
        password_hash = await self._password_hash(call)
        origin = _origin(call)
        nickname = _nickname(call) or f"{self._nickname_prefix}{user_id}"
        new = NewAccount(user_id, ticket.number, password_hash, nickname, origin, _name(call))
        session = NewSession(user_id, origin)
        attempt = self._attempt("register.succeeded", ticket, session)
        messages = (
            events.registered(new, self._phones.ref(new.phone)),
            events.session_opened(session, "register"),
        )
        account = await self._repository.add(ticket.verification_id, new, session, attempt, messages)
        log.info("account.registered", user_id=user_id, session_id=str(session.session_id))
        return LoggedIn(account=account, session_id=session.session_id, token=session.token)

    async def _replace(self, ticket: Ticket, call: Redemption, state: TicketState) -> LoggedIn:
        held = state.held
        if held is None:
            raise ServiceError(ErrorCode.NO_ACCOUNT)
        if held.banned:
            raise ServiceError(ErrorCode.ACCOUNT_BANNED)
        password_hash = await self._password_hash(call)
        session = NewSession(held.account.user_id, _origin(call))
        attempt = self._attempt("reset_password.succeeded", ticket, session)
        account = await self._repository.replace_password(
            ticket.verification_id, session.user_id, password_hash, session, attempt
        )
        log.info("password.reset", user_id=session.user_id, session_id=str(session.session_id))
        return LoggedIn(account=account, session_id=session.session_id, token=session.token)

    async def _password_hash(self, call: Redemption) -> str | None:
        return None if call.secret is None else await self._passwords.hash(call.secret)

    def _attempt(self, action: str, ticket: Ticket, session: NewSession) -> AuditEntry:
        return AuditEntry(action, self._phones.ref(ticket.number), session.origin, session.user_id)


def new_user_id() -> int:
    """A random id; that it is free is for the database to say."""
    return LOWEST_ID + secrets.randbelow(BEYOND_IDS - LOWEST_ID)


def _name(call: Redemption) -> str | None:
    return call.name if isinstance(call, Register) else None


def _nickname(call: Redemption) -> str | None:
    return call.nickname if isinstance(call, Register) else None


def _secrets_of(number: E164) -> set[str]:
    """The canonical secrets of passwords that are the number itself, in each spelling."""
    spellings = (number, number[1:], split(number)[1])
    return {hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in spellings}


def _origin(call: Redemption) -> ClientContext:
    return ClientContext(call.dialect, call.client)
