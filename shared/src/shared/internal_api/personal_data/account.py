"""What auth-service stores about a user: their account and their sessions, and what the audit log says about them."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from shared.internal_api.auth import Account, LivingSession, ProvenRequest
from shared.internal_api.endpoint import Endpoint, Number, WireModel
from shared.internal_api.personal_data.pages import Cursor


class ExportMe(ProvenRequest):
    """Get the account of the caller, after a fresh proof. Counts as several changes of the account."""


class PersonalAccount(WireModel):
    """What is stored about a user, but for the hashes of their password and tokens.

    ``known_networks`` counts the networks that are known to the number: they are stored as keyed references. Rows that
    name the number alone are the user's from ``number_since`` on, and ``exported_at`` is the end of all lists.
    """

    account: Account
    registered_with: str
    registered_by: str
    last_used_at: datetime | None
    has_password: bool
    password_changed_at: datetime
    is_imported: bool
    known_networks: int
    sessions: list[LivingSession]
    number_since: datetime
    exported_at: datetime


class ListActivity(WireModel):
    """Get rows of the audit log about a user, oldest first: the first ones, or those behind a cursor."""

    user_id: int
    phone: Number = Field(repr=False)
    number_since: datetime
    until: datetime
    after: Cursor | None = None


class ActivityRow(WireModel):
    """A decision about the user. What an operator wrote about it is theirs."""

    at: datetime
    action: str
    detail: str
    session_id: UUID | None
    network: str
    dialect: str
    client: str
    by_operator: bool


class ActivityPage(WireModel):
    """Some rows, and where the next page begins; None at the end."""

    rows: list[ActivityRow]
    next: Cursor | None


EXPORT_ME = Endpoint("/v1/personal-data/account", ExportMe, PersonalAccount)
LIST_ACTIVITY = Endpoint("/v1/personal-data/activity", ListActivity, ActivityPage, repeatable=True)
