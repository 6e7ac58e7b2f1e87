"""The internal API of sms-service: issue a code, check a code, ask for the cooldown, and take a receipt."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.errors import ErrorCode
from shared.internal_api.endpoint import Client, Empty, Endpoint, Number, SourcedRequest, WireModel


class Purpose(StrEnum):
    """What a code is for. It works for nothing else. The order is part of the ticket's format, so only append."""

    SIGN_UP = "sign_up"
    SIGN_IN = "sign_in"
    RESET_PASSWORD = "reset_password"  # noqa: S105  a purpose
    CHANGE_PHONE = "change_phone"
    ERASE = "erase"
    EXPORT = "export"


PROOFS = frozenset({Purpose.ERASE, Purpose.EXPORT})
"""The purposes whose codes prove that a user who is logged in is there now, and change nothing by themselves."""


class AccountNotice(StrEnum):
    """What a message with a code tells the owner of its number, if the one who asked may learn it only after proof."""

    NONE = ""
    REGISTERED = "registered"
    """The code is to register the number, and the number has an account."""
    NO_ACCOUNT = "no_account"
    """The code is for the account of the number, and the number has none."""


class Language(StrEnum):
    """The language of a message."""

    CHINESE = "zh"
    ENGLISH = "en"


CodeText = Annotated[str, Field(repr=False)]


class IssueCode(SourcedRequest):
    """Send a code. ``cooldown`` (seconds) and ``daily_cap`` (sends in a rolling 24 hours) are the dialect's.

    ``refuse`` is set if the gateway wants the number refused, because it is taken or has no account. It is answered
    after the limits on the caller and before those on the number, so that probing cannot avoid a limit.

    ``registered`` and ``known_networks`` are what auth-service says of the number (``LookedUp``); ``session_phone`` is
    the number of the living session that the caller shows, if any. They tell known callers from strangers.

    Where an account may be disclosed only after proof, nothing is refused for it. ``registered`` then says which limits
    apply, those of the purpose, and ``notice`` what the message tells the owner of the number.
    """

    phone: Number = Field(repr=False)
    purpose: Purpose
    dialect: Client
    client: Client = ""
    cooldown: int = Field(ge=60)
    daily_cap: int = Field(ge=1, le=10)
    refuse: ErrorCode | None = None
    registered: bool = False
    known_networks: list[int] = Field(default=[], repr=False)
    notice: AccountNotice = AccountNotice.NONE
    session_phone: Number | None = Field(default=None, repr=False)
    language: Language = Language.CHINESE


class CodeIssued(WireModel):
    """A message with the code is queued. Times are seconds. ``code`` is empty unless ``REVEAL_CODES`` is on."""

    verification_id: UUID
    expires_in: int
    resend_after: int
    code: CodeText = ""


class IssuedToInactive(WireModel):
    """What a request for a code to a number without activity came to. None: it has activity, and nothing was done."""

    issued: CodeIssued | None


class CheckCode(SourcedRequest):
    """Check a code for a number, or for a ``verification_id`` alone.

    ``session_phone`` is as in ``IssueCode``. ``with_secret`` says that the code came in a call with a password or a
    session, which auth-service compares if the call is repeated. ``allow_master_code`` accepts ``MASTER_CODE`` too, if
    there is one (development).
    """

    purpose: Purpose
    code: CodeText
    phone: Number | None = Field(default=None, repr=False)
    verification_id: UUID | None = None
    dialect: Client
    session_phone: Number | None = Field(default=None, repr=False)
    with_secret: bool = False
    allow_master_code: bool = False


class CodeChecked(WireModel):
    """The code was correct. The ticket proves it to auth-service. ``expires_in`` is seconds.

    ``again`` says that the code was checked before, so the ticket may have been spent. The same network gets the same
    ticket: five times within 60 seconds, or in calls with a secret for as long as the ticket lives. Elsewhere, a call
    with a secret gets a ticket that only repeats; any other call is refused.
    """

    ticket: str = Field(repr=False)
    expires_in: int
    again: bool = True


class AskStatus(SourcedRequest):
    """Ask if a code may be requested for a number now. ``refuse`` is as in ``IssueCode``."""

    phone: Number = Field(repr=False)
    cooldown: int = Field(ge=60)
    refuse: ErrorCode | None = None


class Status(WireModel):
    """The number is not in its cooldown, so a code may be requested now."""


RECEIPT_HEADERS = (
    "content-type",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-twilio-signature",
)
"""The headers of a provider's callback that are passed on, in lower case: those that signatures may use."""


class TakeReceipt(WireModel):
    """A provider's callback as the gateway received it. ``body`` is base64, ``query`` is unchanged."""

    sender: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")
    query: str = Field(default="", max_length=2048, repr=False)
    headers: dict[str, str] = Field(repr=False)
    body: str = Field(repr=False)


class ReceiptTaken(WireModel):
    """The receipt was read. ``reply`` is the JSON that the provider expects."""

    reply: str


class ReceiptSenders(WireModel):
    """The senders whose providers post receipts."""

    names: list[str]


ISSUE_CODE = Endpoint("/v1/codes/issue", IssueCode, CodeIssued)
ISSUE_TO_INACTIVE = Endpoint("/v1/codes/issue-to-inactive", IssueCode, IssuedToInactive)
"""As ``ISSUE_CODE``, but only to a number that got no code in 24 hours. No account can have been registered with it."""
CHECK_CODE = Endpoint("/v1/codes/check", CheckCode, CodeChecked)
ASK_STATUS = Endpoint("/v1/codes/status", AskStatus, Status, repeatable=True)
TAKE_RECEIPT = Endpoint("/v1/receipts", TakeReceipt, ReceiptTaken, repeatable=True)
LIST_RECEIPT_SENDERS = Endpoint("/v1/receipts/senders", Empty, ReceiptSenders, repeatable=True)
