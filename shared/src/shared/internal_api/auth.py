"""What auth-service can be asked: accounts, passwords, sessions."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.internal_api.endpoint import Address, Client, Empty, Endpoint, Number, WireModel
from shared.internal_api.sms import Purpose

SecretText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Secret = Annotated[SecretText, Field(repr=False)]
"""The canonical password: the lower-case md5 hex of its UTF-8 bytes. A wire encoding; storage is argon2id."""

Token = Annotated[str, Field(repr=False)]
Sealed = Annotated[str, Field(repr=False)]


LoginName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,32}$")]
"""A login name: 1 to 32 characters, none of them a control character. It is unique ignoring case."""


class Gender(StrEnum):
    NONE = "none"
    FEMALE = "female"
    MALE = "male"


class Account(WireModel):
    """A user as the user sees it. Texts are empty, and ``name`` is null, until they are used."""

    user_id: int
    phone: Number = Field(repr=False)
    name: str | None = None
    nickname: str
    gender: Gender = Gender.NONE
    motto: str = ""
    avatar: str
    thumbnail: str
    cover: str
    email: str = Field(default="", repr=False)
    level: int = 0
    type: int = 0
    discoverable: bool = True
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime
    banned_at: datetime | None = None
    version: int


class LookUp(WireModel):
    """Which of these numbers have an account? The gateway asks for several callers at once."""

    phones: list[Number] = Field(min_length=1, max_length=256, repr=False)


class LookedUp(WireModel):
    """In the order of the question."""

    registered: list[bool]


class Register(WireModel):
    """Open an account with a ticket. ``phone``, where the contract sends it, must be the ticket's number.

    A ``name`` that is taken does not spend the ticket: it can be redeemed with another one. An account without a
    ``secret`` has no password: its user logs in with codes.
    """

    ticket: Sealed
    phone: Number | None = Field(default=None, repr=False)
    secret: SecretText | None = Field(repr=False)
    nickname: str | None = None
    name: LoginName | None = None
    dialect: Client
    client: Client = ""


class LogInWithPassword(WireModel):
    phone: Number = Field(repr=False)
    secret: Secret
    address: Address
    dialect: Client
    client: Client = ""


class ResetPassword(WireModel):
    """Set a new password with a ticket; every earlier session ends."""

    ticket: Sealed
    phone: Number | None = Field(default=None, repr=False)
    secret: Secret
    dialect: Client
    client: Client = ""


class LoggedIn(WireModel):
    """An account and a fresh session of it. The token is shown once and stored only as its SHA-256."""

    account: Account
    session_id: UUID
    token: Token


class Resolve(WireModel):
    """Whose session is this?"""

    token: Token


class Resolved(WireModel):
    session_id: UUID
    account: Account


class ChangePhone(WireModel):
    """Give a user another number, proven by two tickets for ``CHANGE_PHONE``: his number's and the new one's."""

    user_id: int
    session_id: UUID
    old_ticket: Sealed
    new_ticket: Sealed
    dialect: str
    client: str = ""


class FindChange(WireModel):
    """Which verification of the old number was spent together with this ticket of the user's present number?"""

    user_id: int
    new_ticket: Sealed


class ChangeFound(WireModel):
    """None when that ticket changed nothing: then there is no change to repeat."""

    old_verification_id: UUID | None


class LogInWithCode(WireModel):
    """Open a session with a ticket for ``LOG_IN_WITH_CODE`` and no password."""

    ticket: Sealed
    dialect: Client
    client: Client = ""


class Grant(WireModel):
    """Trade the token of a session just opened for the session's first access and refresh tokens."""

    token: Token


class Refresh(WireModel):
    refresh_token: Token


class Granted(WireModel):
    """An access token (a JWT; ``expires_in`` is seconds) and the refresh token that comes next."""

    access_token: Token
    expires_in: int
    refresh_token: Token


class PublicKey(WireModel):
    """A key that access tokens may be signed with (RFC 7517, RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class PublicKeys(WireModel):
    keys: list[PublicKey]


class ListSessions(WireModel):
    user_id: int


class LivingSession(WireModel):
    session_id: UUID
    client: str
    dialect: str
    opened_at: datetime


class LivingSessions(WireModel):
    """A user's sessions, newest first. There are at most a hundred: opening one more ends the oldest."""

    sessions: list[LivingSession]


class EndSession(WireModel):
    user_id: int
    session_id: UUID


class EndOthers(WireModel):
    """End every session of the user but this one."""

    user_id: int
    session_id: UUID


class ChangePassword(WireModel):
    """Set a new password knowing the current one; the session stays, the user's others end."""

    user_id: int
    session_id: UUID
    phone: Number = Field(repr=False)
    current: Secret
    secret: Secret
    address: Address
    dialect: Client
    client: Client = ""


class ChangeProfile(WireModel):
    """Change what is given; the rest stays."""

    user_id: int
    nickname: str | None = None
    gender: Gender | None = None
    motto: str | None = None
    avatar: str | None = None
    discoverable: bool | None = None


class Erase(WireModel):
    """Erase the account: its number is free again, its sessions end, nothing personal stays."""

    user_id: int
    dialect: Client
    client: Client = ""


class FindSpent(WireModel):
    """What became of the tickets that these verifications gave?"""

    verification_ids: list[UUID] = Field(max_length=100)


class SpentTicket(WireModel):
    """A ticket that was spent, by whom and how often again. ``session_lives``: a session opened with it still does."""

    verification_id: UUID
    purpose: Purpose
    user_id: int
    spent_at: datetime
    repeats: int
    session_lives: bool


class SpentTickets(WireModel):
    """Those that were spent. What was spent before ``known_since`` is forgotten."""

    tickets: list[SpentTicket]
    known_since: datetime


LOOK_UP = Endpoint("/v1/accounts/look-up", LookUp, LookedUp)
REGISTER = Endpoint("/v1/accounts/register", Register, LoggedIn)
CHANGE_PHONE = Endpoint("/v1/accounts/change-phone", ChangePhone, Account)
FIND_CHANGE = Endpoint("/v1/accounts/find-change", FindChange, ChangeFound)
RESET_PASSWORD = Endpoint("/v1/accounts/reset-password", ResetPassword, LoggedIn)
LOG_IN_WITH_PASSWORD = Endpoint("/v1/sessions/log-in-with-password", LogInWithPassword, LoggedIn)
RESOLVE = Endpoint("/v1/sessions/resolve", Resolve, Resolved)
LOG_IN_WITH_CODE = Endpoint("/v1/sessions/log-in-with-code", LogInWithCode, LoggedIn)
GRANT = Endpoint("/v1/sessions/grant", Grant, Granted)
REFRESH = Endpoint("/v1/sessions/refresh", Refresh, Granted)
LIST_SESSIONS = Endpoint("/v1/sessions/list", ListSessions, LivingSessions)
END_SESSION = Endpoint("/v1/sessions/end", EndSession, Empty)
END_OTHERS = Endpoint("/v1/sessions/end-others", EndOthers, Empty)
READ_KEYS = Endpoint("/v1/keys/read", Empty, PublicKeys)
CHANGE_PASSWORD = Endpoint("/v1/accounts/change-password", ChangePassword, Empty)
CHANGE_PROFILE = Endpoint("/v1/accounts/change-profile", ChangeProfile, Account)
ERASE = Endpoint("/v1/accounts/erase", Erase, Empty)
FIND_SPENT = Endpoint("/v1/tickets/find-spent", FindSpent, SpentTickets)
