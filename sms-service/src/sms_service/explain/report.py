"""The report on a number, for a terminal or as JSON. It contains no code."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from shared.internal_api.endpoint import WireModel
from shared.internal_api.sms import Purpose


class DiagnosisKind(StrEnum):
    """The possible answers to "why no code?". Programs may rely on these values."""

    NOTHING_REQUESTED = "nothing_requested"
    VERIFIED = "verified"
    INCORRECT_CODE = "incorrect_code"
    UNUSABLE_CODE = "unusable_code"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    UNDELIVERED = "undelivered"
    WAITING = "waiting"
    SENDING = "sending"
    EXPIRED = "expired"
    TEST_NUMBER = "test_number"
    COOLDOWN = "cooldown"
    DAILY_CAP = "daily_cap"
    CALLER_LIMIT = "caller_limit"
    BUDGET_EXHAUSTED = "budget_exhausted"
    PREFIX_BLOCKED = "prefix_blocked"
    ACCOUNT = "account"
    REFUSED = "refused"
    INVALID_NUMBER = "invalid_number"
    TIMEOUT = "timeout"
    FAILED = "failed"
    NO_ROUTE = "no_route"
    CIRCUIT_OPEN = "circuit_open"
    SENDER_LIMIT = "sender_limit"
    MISCONFIGURED = "misconfigured"
    KEY_MISSING = "key_missing"
    ABANDONED = "abandoned"


class Step(WireModel):
    """One step of a timeline: ``actor`` and ``text`` read as a sentence."""

    at: datetime
    actor: str
    text: str
    details: dict[str, str | int] = Field(default_factory=dict)


class Diagnosis(WireModel):
    """What happened, and what an operator can do about it."""

    kind: DiagnosisKind
    text: str
    advice: str


class Timeline(WireModel):
    """One verification, or refused requests without one. ``notes`` say what is unknown or missing."""

    verification_id: UUID | None
    purpose: Purpose
    diagnosis: Diagnosis
    steps: Sequence[Step]
    notes: Sequence[str] = ()


class Report(WireModel):
    """The timelines of a number, oldest first, and the diagnosis of its last request.

    ``number`` is masked if the report was requested by an id. ``notes`` say what is left out.
    """

    number: str
    phone_ref: str
    days: int
    now: datetime
    diagnosis: Diagnosis
    notes: Sequence[str] = ()
    timelines: Sequence[Timeline]
