"""A story: what is told of a number to an operator, on a terminal or as JSON. No code is in it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from shared.internal_api.endpoint import WireModel
from shared.internal_api.sms import Purpose


class DiagnosisKind(StrEnum):
    """The answers there are to "why no code?"; programs may rely on them."""

    NOTHING_ASKED = "nothing_asked"
    VERIFIED = "verified"
    WRONG_CODE = "wrong_code"
    CODE_DEAD = "code_dead"
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
    BUDGET = "budget"
    PREFIX_BLOCKED = "prefix_blocked"
    ACCOUNT = "account"
    REFUSED = "refused"
    INVALID_NUMBER = "invalid_number"
    SILENT = "silent"
    FAILED = "failed"
    NO_ROUTE = "no_route"
    CIRCUIT_OPEN = "circuit_open"
    SENDERS_LIMITED = "senders_limited"
    MISCONFIGURED = "misconfigured"
    KEY_MISSING = "key_missing"
    ABANDONED = "abandoned"


class Step(WireModel):
    """One step: when, who, what in a sentence, and its particulars."""

    at: datetime
    by: str
    said: str
    facts: dict[str, str | int] = Field(default_factory=dict)


class Diagnosis(WireModel):
    """The answer in one line, and what to do about it."""

    kind: DiagnosisKind
    said: str
    advice: str


class Timeline(WireModel):
    """One verification, or refusals that led to none. ``notes`` are what is not known, or has no time."""

    verification_id: UUID | None
    purpose: Purpose
    verdict: Diagnosis
    entries: Sequence[Step]
    notes: Sequence[str] = ()


class Report(WireModel):
    """What is known of a number, oldest first. ``about`` is the number, or its mask when it was asked for by id.

    ``notes`` say what is left out.
    """

    about: str
    phone_ref: str
    days: int
    now: datetime
    verdict: Diagnosis
    notes: Sequence[str] = ()
    timelines: Sequence[Timeline]
