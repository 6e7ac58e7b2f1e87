"""The events this service tells, from what its rules know; never a code, never a clear number."""

from typing import Any
from uuid import UUID

from shared.event_catalogue import VerificationFailed, VerificationRefused, VerificationRequested, VerificationSucceeded
from shared.events import OutboxMessage, new_event
from shared.internal_api.sms import Purpose
from shared.phone import E164, mask, ref_hex, split

SOURCE = "sms-service"


def requested(about: dict[str, Any], version: int) -> OutboxMessage:
    return _tell(VerificationRequested(**about), version)


def refused(about: dict[str, Any], limiter: str, retry_after: int | None) -> OutboxMessage:
    fact = VerificationRefused(**about, limiter=limiter, retry_after=retry_after or 0)
    return new_event(fact, source=SOURCE, subject=fact.phone_ref, version=0)


def succeeded(about: dict[str, Any], version: int) -> OutboxMessage:
    return _tell(VerificationSucceeded(**about), version)


def failed(about: dict[str, Any], version: int, tries_left: int) -> OutboxMessage:
    return _tell(VerificationFailed(**about, reason="wrong", tries_left=tries_left), version)


def about(
    number: E164,
    ref: int,
    purpose: Purpose,
    dialect: str,
    verification_id: UUID | None = None,
    *,
    is_test: bool = False,
) -> dict[str, Any]:
    """What every verification event says; ``verification_id`` is left out when none was made."""
    return {
        "verification_id": str(verification_id or ""),
        "purpose": purpose.value,
        "phone_ref": ref_hex(ref),
        "phone_masked": mask(number),
        "country": split(number)[0],
        "dialect": dialect,
        "test_number": is_test,
    }


def _tell(fact: VerificationRequested | VerificationSucceeded | VerificationFailed, version: int) -> OutboxMessage:
    return new_event(fact, source=SOURCE, subject=fact.verification_id, version=version)
