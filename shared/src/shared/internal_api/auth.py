"""The internal API of auth-service: accounts, sessions, tokens, spent tickets."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.internal_api.endpoint import Address, AppName, Client, Empty, Endpoint, Number, SourcedRequest, WireModel
from shared.internal_api.principals import Principal
from shared.internal_api.sms import Purpose

SecretText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Secret = Annotated[SecretText, Field(repr=False)]
"""A password as the lower-case md5 hex of its UTF-8 bytes. That is its encoding on the wire; argon2id is stored."""

MAX_PLAIN_LENGTH = 1_024
PlainText = Annotated[str, StringConstraints(max_length=MAX_PLAIN_LENGTH)]
"""The same in plain text, if the client sent it so: most imported digests cannot be compared with an md5."""
Token = Annotated[str, Field(repr=False)]
Sealed = Annotated[str, Field(repr=False)]
LoginName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,32}$")]
"""A username: 1 to 32 characters without control characters, unique ignoring case and what is invisible."""


class Gender(StrEnum):
    NONE = "none"
    FEMALE = "female"
    MALE = "male"


class AccountFields(WireModel):
    """The fields of an account that leave auth-service, each a column of ``accounts``. A retired one has no number."""

    user_id: int
    phone: Number | None = Field(repr=False)
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


class Account(AccountFields):
    """An account with a number: every account that is not retired."""

    phone: Number = Field(repr=False)


class ClientRequest(SourcedRequest):
    """A request of an app: the contract that it speaks, and its name."""

    dialect: Client
    client: Client = ""


class LookUp(WireModel):
    """Find out which numbers have an account. The gateway batches the numbers of several callers."""

    phones: list[Number] = Field(min_length=1, max_length=256, repr=False)


class LookedUp(WireModel):
    """Whether each number has an account, in the order of the request, and from where it was proven within 90 days.

    ``known_networks``: up to 8 references (``NetworkKey``). ``elsewhere``: if ``LookUpElsewhere`` decides; or empty.
    """

    registered: list[bool]
    known_networks: list[list[int]] = Field(repr=False)
    elsewhere: list[bool] = Field(default_factory=list)


class Register(ClientRequest):
    """Open an account with a ticket for ``SIGN_UP``, of the number ``phone``; without one, ``plain`` is compared.

    A ``name`` that is taken does not spend the ticket. Without a ``secret`` the account has no password, and its user
    logs in with codes. The network of ``address``, the client's, becomes known, and may repeat such a request.
    """

    ticket: Sealed
    phone: Number | None = Field(default=None, repr=False)
    secret: SecretText | None = Field(repr=False)
    plain: PlainText | None = Field(default=None, repr=False)
    nickname: str | None = None
    name: LoginName | None = None


class LogInWithPassword(ClientRequest):
    """Open a session with a password. After a right one, the network is known to the number."""

    phone: Number = Field(repr=False)
    secret: Secret
    plain: PlainText | None = Field(default=None, repr=False)


class ResetPassword(ClientRequest):
    """Set a new password with a ticket for ``RESET_PASSWORD``. Every earlier session ends. See ``Register``."""

    ticket: Sealed
    phone: Number | None = Field(default=None, repr=False)
    secret: Secret
    plain: PlainText | None = Field(default=None, repr=False)


class Resolve(WireModel):
    """Find the session of an opaque token or an access token."""

    token: Token


class Resolved(WireModel):
    """A session that has not ended, with its account."""

    session_id: UUID
    account: Account


class LoggedIn(Resolved):
    """An account with its new session. The token is returned once; only its SHA-256 is stored."""

    token: Token


class ChangePhone(ClientRequest):
    """Change a user's number with a ticket for ``CHANGE_PHONE`` of each number. Sessions but ``session_id`` end."""

    user_id: int
    session_id: UUID
    old_ticket: Sealed
    new_ticket: Sealed


class FindChange(WireModel):
    """Find the old number's verification that was spent in the same change as this ticket of the new number."""

    user_id: int
    new_ticket: Sealed


class ChangeFound(WireModel):
    """None when the ticket was not spent on a change of this user: there is no change to repeat."""

    old_verification_id: UUID | None


class LogInWithCode(ClientRequest):
    """Open a session with a ticket for ``SIGN_IN``. The network of ``address`` may repeat it: five times, for 60 s."""

    ticket: Sealed


class Grant(WireModel):
    """Get the first access and refresh tokens of a new session, for its opaque token."""

    token: Token


class Refresh(WireModel):
    """Get the next access and refresh tokens. Where the request comes from is for the audit log only."""

    refresh_token: Token
    address: Address | None = None
    app: AppName = ""


class Granted(WireModel):
    """An access token (a JWT, valid for ``expires_in`` seconds) and the next refresh token."""

    access_token: Token
    expires_in: int
    refresh_token: Token


class Registered(Resolved):
    """A new account, with its first session and the first tokens of it."""

    tokens: Granted


class ListSessions(WireModel):
    user_id: int


class LivingSession(WireModel):
    session_id: UUID
    client: str
    dialect: str
    opened_at: datetime


class LivingSessions(WireModel):
    """A user's sessions that have not ended, newest first. There are at most 100: one more ends the oldest."""

    sessions: list[LivingSession]


class EndSession(WireModel):
    user_id: int
    session_id: UUID
    caller_id: UUID | None = None


class EndOthers(EndSession, SourcedRequest):
    """End every session of the user but this one."""

    address: Address | None = None


class ChangePassword(ClientRequest):
    """Replace the current password. The user's other sessions end; the session of ``session_id`` gets new tokens."""

    user_id: int
    session_id: UUID
    phone: Number = Field(repr=False)
    current: Secret
    current_plain: PlainText | None = Field(default=None, repr=False)
    secret: Secret


class ChangeProfile(WireModel):
    """Set the fields that are not None. Each is a field of ``Account``."""

    user_id: int
    nickname: str | None = None
    gender: Gender | None = None
    motto: str | None = None
    avatar: str | None = None
    discoverable: bool | None = None


class ProvenRequest(ClientRequest):
    """A request whose user proves anew who they are: with the ``secret``, or with a ``ticket`` for this request."""

    user_id: int
    phone: Number = Field(repr=False)
    secret: SecretText | None = Field(default=None, repr=False)
    plain: PlainText | None = Field(default=None, repr=False)
    ticket: str | None = Field(default=None, repr=False)


class Erase(ProvenRequest):
    """Erase the account. Its number is free again, its sessions end, and no personal data stays."""


class FindSpent(WireModel):
    """Find the spent tickets of these verifications."""

    verification_ids: list[UUID] = Field(max_length=100)


class SpentTicket(WireModel):
    """A spent ticket. ``repeats`` counts later uses; ``session_lives`` says whether a session that it opened lives."""

    verification_id: UUID
    purpose: Purpose
    user_id: int
    spent_at: datetime
    repeats: int
    session_lives: bool


class SpentTickets(WireModel):
    """The spent tickets. Those that were spent before ``known_since`` are no longer stored."""

    tickets: list[SpentTicket]
    known_since: datetime


LOOK_UP = Endpoint("/v1/accounts/look-up", LookUp, LookedUp, repeatable=True)
REGISTER = Endpoint("/v1/accounts/register", Register, LoggedIn)
REGISTER_WITH_TOKENS = Endpoint("/v1/accounts/register-with-tokens", Register, Registered)
CHANGE_PHONE = Endpoint("/v1/accounts/change-phone", ChangePhone, Account)
FIND_CHANGE = Endpoint("/v1/accounts/find-change", FindChange, ChangeFound, repeatable=True)
RESET_PASSWORD = Endpoint("/v1/accounts/reset-password", ResetPassword, LoggedIn)
LOG_IN_WITH_PASSWORD = Endpoint("/v1/sessions/log-in-with-password", LogInWithPassword, LoggedIn)
RESOLVE = Endpoint("/v1/sessions/resolve", Resolve, Resolved, repeatable=True)
LOG_IN_WITH_CODE = Endpoint("/v1/sessions/log-in-with-code", LogInWithCode, LoggedIn)
GRANT = Endpoint("/v1/sessions/grant", Grant, Granted)
REFRESH = Endpoint("/v1/sessions/refresh", Refresh, Granted)
LIST_SESSIONS = Endpoint("/v1/sessions/list", ListSessions, LivingSessions, repeatable=True)
END_SESSION = Endpoint("/v1/sessions/end", EndSession, Empty)
END_OTHERS = Endpoint("/v1/sessions/end-others", EndOthers, Empty)
CHANGE_PASSWORD = Endpoint("/v1/accounts/change-password", ChangePassword, Granted)
CHANGE_PROFILE = Endpoint("/v1/accounts/change-profile", ChangeProfile, Account)
ERASE = Endpoint("/v1/accounts/erase", Erase, Empty)
FIND_SPENT = Endpoint("/v1/tickets/find-spent", FindSpent, SpentTickets, Principal.SMS_SERVICE, repeatable=True)
