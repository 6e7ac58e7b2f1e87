"""The port to whoever carries messages: one call, and a closed set of outcomes."""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Protocol
from uuid import UUID

from shared.internal_api.sms import Language, Purpose
from shared.phone import E164
from sms_service.messages.segments import segments

SEND_SECONDS = 4.0
"""What a sender is given. Below 5 s, in which a message that got no answer must be with the next sender."""
MAX_WORD = 64


class Outcome(StrEnum):
    """What became of a message. Everything but ``ACCEPTED`` is its failure class in the ledger and in events."""

    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    """Away, slow, or confused: nobody knows whether it left, so this sender never gets it again."""
    PERMANENT = "permanent"
    """It will not go out this way, and nothing of ours is at fault."""
    INVALID_NUMBER = "invalid_number"
    """Nobody can be reached there, by whatever sender."""
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    """The carrier does not take this text."""
    MISCONFIGURED = "misconfigured"
    """Our credentials, address or keys are wrong: a person must look."""


@dataclass(frozen=True)
class Message:
    """A message on its way out; it exists only between the ledger's claim and the sender's answer.

    ``remaining`` is how long its code lives; templates of providers are told it in minutes.
    """

    message_id: UUID
    to: E164 = field(repr=False)
    text: str = field(repr=False)
    code: str = field(repr=False)
    purpose: Purpose
    language: Language
    remaining: timedelta

    @cached_property
    def segments(self) -> int:
        """How many short messages carry the text: what a carrier bills. A provider's own template may differ."""
        return segments(self.text)


@dataclass(frozen=True)
class SendResult:
    """A sender's answer. ``provider_id`` is what receipts will call the message, where they do not use our id.

    ``detail`` is the provider's own word for it (an error code, an HTTP status), for the ledger and for people.
    """

    outcome: Outcome
    detail: str = ""
    provider_id: str = ""


class Sender(Protocol):
    """One way to send. ``name`` goes into the ledger and events.

    ``send`` is given ``SEND_SECONDS`` and may raise: whatever it raises counts as ``TRANSIENT``.
    """

    @property
    def name(self) -> str: ...
    async def send(self, message: Message) -> SendResult: ...


_WORD = re.compile(r"[^A-Za-z0-9_.:-]+")
_DIGITS = re.compile(r"[0-9](?:[_.:-]*[0-9]){5,}")
"""A code has six digits and a number more; what providers call their errors has five at most."""


def safe_error_code(text: object) -> str:
    """A provider's error code, fit to be kept: short, plain, and without what could be a number or a code."""
    plain = _WORD.sub("_", str(text)).strip("_")
    return _DIGITS.sub("_", plain)[:MAX_WORD]


def provider_id_of(text: object) -> str:
    """A provider's id for a message, as it is kept and looked up; empty when it is none."""
    return text if isinstance(text, str) and 0 < len(text) <= 128 and text.isprintable() else ""


def redact(answer: SendResult, message: Message) -> SendResult:
    """The answer as it may be kept: some providers quote the text or the number in it, also as their id."""
    detail = safe_error_code(answer.detail)
    return replace(
        answer,
        detail=_WITHHELD if _quotes(detail, message) else detail,
        provider_id="" if _quotes(answer.provider_id, message) else answer.provider_id,
    )


_WITHHELD = "withheld"
_MAX_CALLING_CODE = 3


def _quotes(text: str, message: Message) -> bool:
    """Whether the code or the number stands in a text, in whatever digits and with whatever between them."""
    bare = "".join(str(unicodedata.digit(one, one)) for one in text if one.isalnum())
    return message.code in bare or message.to.lstrip("+")[_MAX_CALLING_CODE:] in bare
