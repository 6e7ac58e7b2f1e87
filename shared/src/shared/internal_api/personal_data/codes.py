"""What sms-service stores about a number: codes, the messages with them, and what became of both."""

from datetime import datetime

from pydantic import Field

from shared.internal_api.endpoint import Endpoint, Number, WireModel
from shared.internal_api.personal_data.pages import Cursor
from shared.internal_api.sms import Purpose


class ExportCodes(WireModel):
    """Get the messages of a number since a time."""

    phone: Number = Field(repr=False)
    since: datetime


class CodeMessage(WireModel):
    """A message with a code. ``state`` is what became of it, and ``sender`` the name of the provider that took it."""

    requested_at: datetime
    purpose: Purpose
    dialect: str
    client: str
    language: str
    state: str
    sender: str
    finished_at: datetime | None


class ExportedCodes(WireModel):
    """The messages, oldest first."""

    messages: list[CodeMessage]


class ListCodeEvents(WireModel):
    """Get what happened to codes of a number, oldest first: the first rows, or those behind a cursor."""

    phone: Number = Field(repr=False)
    since: datetime
    until: datetime
    after: Cursor | None = None


class CodeEvent(WireModel):
    """A check of a code, or a refusal."""

    at: datetime
    kind: str
    purpose: Purpose
    dialect: str
    network: str
    detail: str


class CodeEventPage(WireModel):
    """Some rows, and where the next page begins; None at the end."""

    rows: list[CodeEvent]
    next: Cursor | None


EXPORT_CODES = Endpoint("/v1/personal-data/codes", ExportCodes, ExportedCodes, repeatable=True)
LIST_CODE_EVENTS = Endpoint("/v1/personal-data/code-events", ListCodeEvents, CodeEventPage, repeatable=True)
