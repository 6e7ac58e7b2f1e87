"""The internal API of operators: the accounts that they find and change, and the audit log."""

from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, Field, field_validator, model_validator

from shared.internal_api.auth import AccountFields, LivingSession
from shared.internal_api.endpoint import Empty, Endpoint, WireModel
from shared.internal_api.operators.requests import AnyNumber, OperatorName, ReasonedRequest
from shared.internal_api.principals import Principal
from shared.phone import E164


class AccountRequest(ReasonedRequest):
    """A request about one account, named in exactly one way.

    A session names its account while it lives, and a verification for a day after its ticket was used.
    """

    phone: AnyNumber | None = Field(default=None, repr=False, description="the number, in any spelling")
    user_id: int | None = Field(default=None, description="the user id, as in events")
    session_id: UUID | None = Field(default=None, description="the id of a living session")
    verification_id: UUID | None = Field(default=None, description="a verification whose ticket was used today")

    @model_validator(mode="after")
    def _names_one_account(self) -> Self:
        names = (self.phone, self.user_id, self.session_id, self.verification_id)
        if sum(name is not None for name in names) != 1:
            raise ValueError("name the account by exactly one of phone, user_id, session_id and verification_id")
        return self


class FindAccount(AccountRequest):
    """Show an account and its sessions."""


class FoundAccount(WireModel):
    """An account as an operator sees it. ``phone`` is masked without the right to see it, None without a number.

    Numbers in texts of users are hidden where ``phone`` is masked.
    """

    user_id: int
    phone: str | None = Field(repr=False)
    name: str | None
    nickname: str
    dialect: str
    client: str
    created_at: datetime
    last_login_at: datetime
    last_used_at: datetime | None
    banned_at: datetime | None
    banned_until: datetime | None
    retired_at: datetime | None
    sessions: list[LivingSession]


class BanAccount(AccountRequest):
    """Ban an account, for good or until a time: its sessions end, and it cannot log in."""

    until: AwareDatetime | None = Field(
        default=None, description="when the ban ends by itself, such as 2026-12-31T00:00:00+08:00 (default: never)"
    )

    @field_validator("until")
    @classmethod
    def _is_to_come(cls, until: datetime | None) -> datetime | None:
        if until is not None and until <= datetime.now(UTC):
            raise ValueError("this time is over: a ban ends later")
        return until


class UnbanAccount(AccountRequest):
    """Lift a ban: the account can log in again."""


class EndAccountSessions(AccountRequest):
    """End the sessions of an account, or only the one that names it with --session-id."""


class EraseAccount(AccountRequest):
    """Erase an account, banned or not, with all that belongs to it. This cannot be undone."""


class AccountChanged(WireModel):
    """``changed`` is False if that was its state already. ``sessions_ended`` counts what this request ended."""

    user_id: int
    changed: bool
    sessions_ended: int = 0


class ExportAccount(AccountRequest):
    """Export what is stored about an account: for its user, who may ask for it by law."""


class AuditRow(WireModel):
    """A row of the audit log. Its number is masked, or None if no account has it any more."""

    id: UUID
    at: datetime
    action: str
    user_id: int | None
    number: str | None
    session_id: UUID | None
    network: str
    dialect: str
    client: str
    detail: str
    by: str
    reason: str


class ExportedAccount(WireModel):
    """What auth-service stores about a user, but for the password's hash and the tokens' hashes.

    ``known_networks`` counts the networks that are known to the number: they are stored as keyed references. A retired
    account has neither number nor sessions nor known networks.
    """

    account: AccountFields
    registered_with: str
    last_used_at: datetime | None
    banned_until: datetime | None
    retired_at: datetime | None
    known_networks: int
    sessions: list[LivingSession]
    audit: list[AuditRow]


class LiftLoginLimits(ReasonedRequest):
    """Let a number log in again at once: forget its failed and its recent log-ins."""

    phone: AnyNumber = Field(repr=False, description="the number, in any spelling")


class LoginLimitsLifted(WireModel):
    """How many counters of the number were forgotten."""

    counters: int


class ListAudit(ReasonedRequest):
    """List rows of the audit log, oldest first, at most 1,000 (default: of the last day)."""

    phone: AnyNumber | None = Field(default=None, repr=False, description="rows about this number")
    user_id: int | None = Field(default=None, description="rows about this user")
    by: OperatorName | None = Field(default=None, description="what this operator did")
    since: AwareDatetime | None = Field(default=None, description="rows since then, such as 2026-11-28T06:00:00+08:00")


class AuditRows(WireModel):
    """The rows, and whether there are more: then ask again ``since`` the last."""

    rows: list[AuditRow]
    has_more: bool


class RecordRequest(ReasonedRequest):
    """Write into the audit log that an operator makes this request, or how it was refused."""

    action: str = Field(pattern=r"^operator\.[a-z-]+(\.refused)?$")
    detail: str = Field(default="", max_length=200)
    phone: E164 | None = Field(default=None, repr=False)
    user_id: int | None = None
    session_id: UUID | None = None


FIND_ACCOUNT = Endpoint("/v1/operators/find-account", FindAccount, FoundAccount, Principal.OPERATOR)
BAN_ACCOUNT = Endpoint("/v1/operators/ban-account", BanAccount, AccountChanged, Principal.OPERATOR)
UNBAN_ACCOUNT = Endpoint("/v1/operators/unban-account", UnbanAccount, AccountChanged, Principal.OPERATOR)
END_ACCOUNT_SESSIONS = Endpoint(
    "/v1/operators/end-account-sessions", EndAccountSessions, AccountChanged, Principal.OPERATOR
)
ERASE_ACCOUNT = Endpoint("/v1/operators/erase-account", EraseAccount, AccountChanged, Principal.OPERATOR)
EXPORT_ACCOUNT = Endpoint("/v1/operators/export-account", ExportAccount, ExportedAccount, Principal.OPERATOR)
LIFT_LOGIN_LIMITS = Endpoint("/v1/operators/lift-login-limits", LiftLoginLimits, LoginLimitsLifted, Principal.OPERATOR)
LIST_AUDIT = Endpoint("/v1/operators/list-audit", ListAudit, AuditRows, Principal.OPERATOR)
RECORD_REQUEST = Endpoint("/v1/operators/record", RecordRequest, Empty, Principal.OPERATOR)
