"""What the stores keep, as values that the domain works with."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from shared.events import new_id
from shared.internal_api.auth import Account
from shared.phone import E164


@dataclass(frozen=True, slots=True)
class ClientContext:
    """Where a call came from. ``network`` is a prefix such as ``203.0.113.0/24``, empty where it is not told."""

    dialect: str
    client: str
    network: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One authentication attempt and how it ended: one row of the audit."""

    action: str
    phone_ref: int | None
    origin: ClientContext
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account with what only auth-service may know of it. ``origin`` is where it was opened."""

    account: Account
    password_hash: str | None = field(repr=False)
    password_changed_at: datetime
    origin: ClientContext

    @property
    def banned(self) -> bool:
        """Whether an operator has shut it."""
        return self.account.banned_at is not None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account about to be written."""

    user_id: int
    phone: E164 = field(repr=False)
    password_hash: str | None = field(repr=False)
    nickname: str
    origin: ClientContext
    name: str | None = None


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session about to be written: the token leaves in the answer, only its SHA-256 stays."""

    user_id: int
    origin: ClientContext
    session_id: UUID = field(default_factory=new_id)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def token_hash(self) -> bytes:
        """What the table holds."""
        return hash_token(self.token)


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that was deleted."""

    session_id: UUID
    user_id: int
    client: str


@dataclass(frozen=True, slots=True)
class TicketState:
    """What is known of a ticket: who spent it, if anybody, and the account of its number, if there is one.

    ``name_taken`` is about the login name that came with it.
    """

    spent_by: int | None
    held: StoredAccount | None
    name_taken: bool = False


@dataclass(frozen=True, slots=True)
class PhoneChangeState:
    """What is known of a change of number: the account, who has the new number, and what became of both tickets.

    ``together`` says that this user spent both of them in one change.
    """

    held: StoredAccount | None
    taken_by: int | None
    spent: bool
    together: bool


@dataclass(frozen=True, slots=True)
class NewPhone:
    """A new number about to be written, if the account is still at ``version``."""

    user_id: int
    version: int
    phone: E164 = field(repr=False)
    verification_ids: tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A counter of failed log-ins and the most it allows in one window."""

    name: str
    most: int


@dataclass(frozen=True, slots=True)
class CountedFailure:
    """One count taken from a bucket; it can be given back while the same window lasts."""

    bucket: str
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class StartedCheck:
    """The limits' answer and the account asked for. ``wait`` is in whole seconds; 0 means go on."""

    wait: int
    held: StoredAccount | None
    charges: tuple[CountedFailure, ...]


def hash_token(token: str) -> bytes:
    """The SHA-256 under which a session is stored: 256 random bits need neither salt nor stretching."""
    return sha256(token.encode()).digest()
