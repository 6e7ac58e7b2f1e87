"""The port that every sender implements: one call to send a message, a closed set of outcomes, and receipts."""

import re
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Protocol, runtime_checkable
from uuid import UUID

from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.phone import E164
from shared.values import value
from sms_service.messages.segments import segments

SEND_SECONDS = 4.0
"""The deadline of one send. It is below 5 s, after which a message must be with the next sender."""
MAX_ERROR_CODE = 64
MAX_PROVIDER_ID = 128


class Outcome(StrEnum):
    """The outcome of one send. Each except ``ACCEPTED`` is also a failure in the ledger and in events."""

    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    """The provider was unavailable or slow, or its response was malformed. The message may have left, so this sender
    is not given it again."""
    PERMANENT = "permanent"
    """This sender cannot deliver the message, and our configuration is not the cause."""
    INVALID_NUMBER = "invalid_number"
    """The number cannot be reached through any sender."""
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    """The carrier does not accept this text."""
    MISCONFIGURED = "misconfigured"
    """Our credentials, address or keys are wrong, and an operator must correct them."""


@value
class OutgoingMessage:
    """A message with its number and code in clear. It exists only in memory, while it is sent.

    ``remaining`` is how long its code stays valid; the templates of some providers state it in minutes. ``notice`` is
    what the text says about the account of the number, besides the code.
    """

    message_id: UUID
    to: E164 = field(repr=False)
    text: str = field(repr=False)
    code: str = field(repr=False)
    purpose: Purpose
    language: Language
    remaining: timedelta
    notice: AccountNotice = AccountNotice.NONE

    @cached_property
    def segments(self) -> int:
        """The number of SMS segments in the text, which carriers bill. A provider's own template may differ."""
        return segments(self.text)


@value
class SendResult:
    """What a sender made of a message.

    ``detail`` is the provider's own error code or an HTTP status, for the ledger and for operators. ``provider_id`` is
    the id under which receipts report the message, for providers that do not return our id.
    """

    outcome: Outcome
    detail: str = ""
    provider_id: str = ""


class Sender(Protocol):
    """One way to send messages. ``name`` appears in the ledger, in events and in metrics.

    ``send`` has ``SEND_SECONDS`` and may raise: every exception counts as ``TRANSIENT``.
    """

    @property
    def name(self) -> str: ...
    async def send(self, outgoing: OutgoingMessage) -> SendResult: ...


@dataclass(frozen=True)
class Balance:
    """What is left of a prepaid account. ``unit`` is a currency such as ``USD``, or ``messages``."""

    amount: float
    unit: str


@runtime_checkable
class PrepaidSender(Sender, Protocol):
    """A sender whose provider tells what is left of its account.

    ``balance`` has ``SEND_SECONDS`` and may raise: after every exception the balance is unknown.
    """

    async def balance(self) -> Balance: ...


class DeliveryStatus(StrEnum):
    """What a receipt reports. ``DELIVERED`` is final: a phone that has a message keeps it."""

    FAILED = "failed"
    DELIVERED = "delivered"


@dataclass(frozen=True)
class Receipt:
    """A provider's report on one message, found by our id, or by the provider's where ours is missing or unknown."""

    status: DeliveryStatus
    message_id: UUID | None = None
    provider_id: str = field(default="", repr=False)
    detail: str = ""


ApplyReceipt = Callable[[str, Receipt], Awaitable[bool]]
"""Applies a receipt from the named sender; False when its message is unknown."""


_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]+")
_LONG_DIGITS = re.compile(r"[0-9](?:[_.:-]*[0-9]){5,}")
"""A code has six digits and a number has more; the error codes of providers have five at most."""


def safe_error_code(text: object) -> str:
    """A provider's error code that is safe to store: short, plain ASCII, and without anything like a code or number."""
    plain = _UNSAFE.sub("_", str(text)).strip("_")
    return _LONG_DIGITS.sub("_", plain)[:MAX_ERROR_CODE]


def safe_provider_id(value: object) -> str:
    """A provider's id of a message as the ledger stores it; empty when the value cannot be one."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_PROVIDER_ID and value.isprintable() else ""


def redact(result: SendResult, outgoing: OutgoingMessage) -> SendResult:
    """The result as it may be stored: some providers quote the text or the number, even in their message ids."""
    detail = safe_error_code(result.detail)
    return replace(
        result,
        detail=_WITHHELD if _quotes(detail, outgoing) else detail,
        provider_id="" if _quotes(result.provider_id, outgoing) else result.provider_id,
    )


_WITHHELD = "withheld"
_MAX_CALLING_CODE = 3


def _quotes(text: str, outgoing: OutgoingMessage) -> bool:
    """Whether a text contains the code or the number, in digits of any script and with any separators."""
    digits = "".join(str(unicodedata.digit(one, one)) for one in text if one.isalnum())
    return outgoing.code in digits or outgoing.to.lstrip("+")[_MAX_CALLING_CODE:] in digits
