"""The internal API of operators, continued: the senders of sms-service, their balances, and test messages."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from shared.internal_api.endpoint import Endpoint, WireModel
from shared.internal_api.operators.requests import AnyNumber, OperatorRequest, ReasonedRequest
from shared.internal_api.principals import Principal
from shared.internal_api.sms import Language


class ListSenders(OperatorRequest):
    """List the senders of the settings file, and what is left of their prepaid accounts."""


class SenderBalance(WireModel):
    """``unit`` is a currency, or ``messages``."""

    amount: float
    unit: str
    read_at: datetime


class ListedSender(WireModel):
    """A sender. ``balance`` is null without a ``warn_below_balance``, and until it was read."""

    name: str
    type: str
    balance: SenderBalance | None
    warn_below_balance: float | None


class Senders(WireModel):
    """The senders, in the order of the settings file."""

    senders: list[ListedSender]


class SendTestMessage(ReasonedRequest):
    """Send a message with the code 000000 through one sender, past its routes, limits and budgets."""

    sender: str = Field(min_length=1, max_length=32, description="a sender of the settings file")
    phone: AnyNumber = Field(repr=False, description="a phone that you can look at, in any spelling")
    language: Language | None = Field(default=None, description="zh or en (default: that of the number's region)")


class TestMessageResult(WireModel):
    """How the sender answered: an outcome of docs/operations/senders.md, and the provider's error code.

    ``unknown`` if a worker took the message and there was no answer in time.
    """

    __test__ = False

    message_id: UUID
    outcome: str
    detail: str


LIST_SENDERS = Endpoint("/v1/operators/list-senders", ListSenders, Senders, Principal.OPERATOR)
SEND_TEST_MESSAGE = Endpoint("/v1/operators/send-test-message", SendTestMessage, TestMessageResult, Principal.OPERATOR)
