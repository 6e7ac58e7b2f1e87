"""Registration: a ticket opens an account and its first session."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog
from prometheus_client import Counter

from auth_service.accounts import events
from auth_service.accounts.dormancy import Dormancy
from auth_service.accounts.model import NewAccount, NumberOwner, StoredAccount
from auth_service.accounts.user_ids import new_user_id
from auth_service.audit import AuditEntry
from auth_service.lifecycle.redemption import TicketRedemption, TicketState
from auth_service.passwords.hasher import PasswordHasher
from auth_service.retirement.model import ConflictError
from auth_service.sessions.events import session_opened
from auth_service.sessions.model import NewSession
from auth_service.sessions.session_metrics import OPENED
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import OutboxMessage
from shared.internal_api.auth import Account, Granted, LoggedIn, LookedUp, Register, Registered
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys
from shared.process.metric_children import child
from shared.tickets import Ticket

REGISTERED = Counter("haoma_accounts_registered_total", "Accounts registered, by contract", ["dialect"])
RETIRED = Counter("haoma_accounts_retired_total", "Dormant accounts that lost their number to its new user")

log = structlog.get_logger()


class RegistrationRepository(Protocol):
    """Where accounts are added."""

    async def find_owners(self, phones: Sequence[E164]) -> Mapping[E164, NumberOwner]:
        """The owner of each number that has an account."""

    async def add(
        self,
        ticket: Ticket,
        account: NewAccount,
        session: NewSession,
        entry: AuditEntry,
        messages: Sequence[OutboxMessage],
        *,
        first_token_hash: bytes | None = None,
        retiring: StoredAccount | None = None,
    ) -> Account:
        """Spend the ticket and write all of it, or nothing. Raises ``ConflictError``.

        The network of the session is known to the number from then on. ``first_token_hash`` is that of the session's
        first refresh token, if it has one. ``retiring`` is the account that has the number and loses it: it keeps its
        id.
        """


class UserSource(Protocol):
    """The back end that an app had before, if it is asked for users who are not here."""

    def elsewhere(self, registered: Sequence[bool]) -> list[bool]:
        """Which numbers, with or without an account, the gateway looks up there too. Empty: none."""

    async def has_account(self, phone: E164) -> bool:
        """Whether the number has an account now. Raises ``ServiceError(UNAVAILABLE)`` if the source cannot tell."""

    async def has_name(self, name: str) -> bool:
        """Whether a user there has this name. Raises as ``has_account`` does."""


class FirstTokens(Protocol):
    """The first access and refresh tokens of sessions."""

    def first_of(self, session: NewSession) -> tuple[Granted, bytes]:
        """The tokens of a session that is about to be written, and the hash to write with it."""

    async def grant(self, session_token: str) -> Granted:
        """The tokens of a session that is written, for its opaque token."""


class Registration:
    """The rules of registration."""

    def __init__(
        self,
        repository: RegistrationRepository,
        *,
        redemption: TicketRedemption,
        passwords: PasswordHasher,
        phones: PhoneKeys,
        nickname_prefix: str,
        dormancy: Dormancy,
        tokens: FirstTokens,
        user_source: UserSource,
    ) -> None:
        self._repository = repository
        self._redemption = redemption
        self._passwords = passwords
        self._phones = phones
        self._nickname_prefix = nickname_prefix
        self._dormancy = dormancy
        self._tokens = tokens
        self._user_source = user_source

    async def look_up(self, phones: Sequence[str]) -> LookedUp:
        """Whether each number has an account, and from where it was proven, in the order of ``phones``.

        A number whose account is dormant is as free as any: no one can learn from the answer that there is one.
        """
        found = await self._repository.find_owners([E164(phone) for phone in phones])
        owners = [owner for phone in phones for owner in (found.get(E164(phone)),)]
        awake = [None if owner is None or self._dormancy.includes(owner) else owner for owner in owners]
        registered = [owner is not None for owner in awake]
        return LookedUp(
            registered=registered,
            known_networks=[list(owner.known_networks) if owner else [] for owner in awake],
            elsewhere=self._user_source.elsewhere(registered),
        )

    async def register(self, request: Register) -> LoggedIn:
        """Open an account and a session. The dormant account of the number, if there is one, retires.

        Raises ``NUMBER_TAKEN``, ``NAME_TAKEN``, and what ``TicketRedemption.redeem`` raises.
        """

        async def fulfil(ticket: Ticket, state: TicketState) -> LoggedIn:
            return (await self._add(request, ticket, state, with_tokens=False))[0]

        return await self._redemption.redeem(request, Purpose.SIGN_UP, fulfil)

    async def register_with_tokens(self, request: Register) -> Registered:
        """As ``register``, with the first tokens of the session."""
        tokens: Granted | None = None

        async def fulfil(ticket: Ticket, state: TicketState) -> LoggedIn:
            nonlocal tokens
            logged_in, tokens = await self._add(request, ticket, state, with_tokens=True)
            return logged_in

        logged_in = await self._redemption.redeem(request, Purpose.SIGN_UP, fulfil)
        if tokens is None:  # a repeat, whose session is like that of any other log-in
            tokens = await self._tokens.grant(logged_in.token)
        return Registered(account=logged_in.account, session_id=logged_in.session_id, tokens=tokens)

    async def _add(
        self, request: Register, ticket: Ticket, state: TicketState, *, with_tokens: bool
    ) -> tuple[LoggedIn, Granted | None]:
        if state.account is not None and not self._dormancy.includes(state.account):
            raise ServiceError(ErrorCode.NUMBER_TAKEN)
        if state.name_taken:
            raise ServiceError(ErrorCode.NAME_TAKEN)
        await self._refuse_users_elsewhere(request, ticket, state)
        new = await self._new_account(request, ticket)
        session = NewSession(new.user_id, new.registered_with)
        entry = self._redemption.entry(ticket, "succeeded", session.context, new.user_id)
        messages = (
            events.user_registered(new, self._phones.ref(new.phone)),
            session_opened(session, "register"),
        )
        tokens, token_hash = self._tokens.first_of(session) if with_tokens else (None, None)
        account = await self._repository.add(
            ticket, new, session, entry, messages, first_token_hash=token_hash, retiring=state.account
        )
        self._count(session.context.dialect, retired=state.account is not None)
        log.info("account.registered", user_id=new.user_id, session_id=str(session.session_id))
        return LoggedIn(account=account, session_id=session.session_id, token=session.token), tokens

    async def _refuse_users_elsewhere(self, request: Register, ticket: Ticket, state: TicketState) -> None:
        """Raise ``ConflictError`` if the user of the number moved in, and ``NAME_TAKEN`` for a name that is theirs."""
        if state.account is None and await self._user_source.has_account(ticket.number):
            raise ConflictError
        if request.name is not None and await self._user_source.has_name(request.name):
            raise ServiceError(ErrorCode.NAME_TAKEN)

    def _count(self, dialect: str, *, retired: bool) -> None:
        child(REGISTERED, dialect).inc()
        child(OPENED, "register", dialect).inc()
        RETIRED.inc(retired)

    async def _new_account(self, request: Register, ticket: Ticket) -> NewAccount:
        password_hash = None
        if request.secret is not None:
            async with self._redemption.hashing_slot(request, ticket) as slot:
                password_hash = await self._passwords.hash(slot, request.secret)
        user_id = new_user_id()
        nickname = request.nickname or f"{self._nickname_prefix}{user_id}"
        return NewAccount(
            user_id, ticket.number, password_hash, nickname, self._redemption.context_of(request), request.name
        )
