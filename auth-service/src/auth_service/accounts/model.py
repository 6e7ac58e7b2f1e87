"""An account, as it is stored and as it is about to be stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from auth_service.client_context import ClientContext
from shared.internal_api.auth import Account
from shared.phone import E164
from shared.tickets import Ticket


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account with the fields that never leave auth-service. ``registered_with`` is the app that registered it.

    Tickets that were made before ``tickets_valid_from`` are dead. ``last_used_at`` is when a session was last used, to
    the day; None if none was since the account was registered.
    """

    account: Account
    password_hash: str | None = field(repr=False)
    password_changed_at: datetime
    tickets_valid_from: datetime
    registered_with: ClientContext
    last_used_at: datetime | None = None

    @property
    def user_id(self) -> int:
        return self.account.user_id

    def accepts(self, ticket: Ticket) -> bool:
        """Whether the ticket was made after everything that ends tickets."""
        return ticket.issued_at > self.tickets_valid_from

    def repeats_since(self, spent_at: datetime) -> bool:
        """Whether a call with a ticket that was spent then may be repeated: nothing has ended tickets since."""
        return self.tickets_valid_from <= spent_at

    @property
    def is_banned(self) -> bool:
        return self.account.banned_at is not None

    @property
    def seen_at(self) -> datetime:
        """When the user was last here: a log-in, or the use of a session, to the day."""
        return max(self.account.last_login_at, self.last_used_at or self.account.last_login_at)


@dataclass(frozen=True, slots=True)
class NumberOwner:
    """What is known of the user who has a number: the networks from which they proved it, and when they were seen."""

    known_networks: Sequence[int] = field(repr=False)
    seen_at: datetime
    is_banned: bool


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account about to be written. ``password_hash`` is None for a user who logs in with codes only."""

    user_id: int
    phone: E164 = field(repr=False)
    password_hash: str | None = field(repr=False)
    nickname: str
    registered_with: ClientContext
    name: str | None = None
