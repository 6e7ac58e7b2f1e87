"""What sms-service can be asked: issue a code, check one, tell when the last one went out."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.errors import ErrorCode
from shared.internal_api.endpoint import Address, Client, Endpoint, Number, WireModel


class Purpose(StrEnum):
    """What a code is for; it works for nothing else. The order is part of the ticket's format: append only."""

    SIGN_UP = "sign_up"
    SIGN_IN = "sign_in"
    RESET_PASSWORD = "reset_password"  # noqa: S105  a purpose
    CHANGE_PHONE = "change_phone"


class Language(StrEnum):
    """What a message is written in."""

    CHINESE = "zh"
    ENGLISH = "en"


CodeText = Annotated[str, Field(repr=False)]


class IssueCode(WireModel):
    """Send a code. The dialect brings its own cooldown (seconds) and cap (sends in a rolling 24 hours).

    ``refuse`` is what the gateway found out about the number (taken, or no account): it is answered after the
    limits on the caller and before those on the number, so that no limit can be walked around by probing.
    """

    phone: Number = Field(repr=False)
    purpose: Purpose
    dialect: Client
    client: Client = ""
    address: Address
    cooldown: int = Field(ge=60)
    daily_cap: int = Field(ge=1, le=10)
    refuse: ErrorCode | None = None
    language: Language = Language.CHINESE


class CodeIssued(WireModel):
    """A message with the code is on its way. ``code`` is empty unless ``REVEAL_CODES`` is on (development)."""

    verification_id: UUID
    expires_in: int
    resend_after: int
    code: CodeText = ""


class CheckCode(WireModel):
    """Is this the code? Asked by number, or by ``verification_id`` alone; ``address`` is where the guess comes from."""

    purpose: Purpose
    code: CodeText
    phone: Number | None = Field(default=None, repr=False)
    verification_id: UUID | None = None
    dialect: Client
    address: Address | None = None
    allow_master_code: bool = False


class CodeChecked(WireModel):
    """It is. The ticket says so to auth-service; checking again gives the same one. ``expires_in`` is seconds.

    ``again`` tells that the code was found right before: its ticket may have been spent since.
    """

    ticket: str = Field(repr=False)
    expires_in: int
    again: bool = True


class AskStatus(WireModel):
    """When did a code last go to this number? ``refuse`` as in ``IssueCode``."""

    phone: Number = Field(repr=False)
    address: Address
    cooldown: int = Field(ge=60)
    refuse: ErrorCode | None = None


class Status(WireModel):
    """No code went to the number within the cooldown: one may be asked for now."""


RECEIPT_HEADERS = (
    "content-type",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-twilio-signature",
)
"""What of a provider's callback is passed on, in lower case: what its signature may be made of."""


class TakeReceipt(WireModel):
    """A provider's callback as it came to the gateway. ``body`` is base64; ``query`` is as it was sent."""

    sender: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")
    query: str = Field(default="", max_length=2048, repr=False)
    headers: dict[str, str] = Field(repr=False)
    body: str = Field(repr=False)


class ReceiptTaken(WireModel):
    """It was understood. ``answer`` is the JSON that the provider wants to hear."""

    answer: str


ISSUE_CODE = Endpoint("/v1/codes/issue", IssueCode, CodeIssued)
CHECK_CODE = Endpoint("/v1/codes/check", CheckCode, CodeChecked)
ASK_STATUS = Endpoint("/v1/codes/status", AskStatus, Status)
TAKE_RECEIPT = Endpoint("/v1/receipts", TakeReceipt, ReceiptTaken)
