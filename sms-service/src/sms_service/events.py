"""The verification events of this service. They never hold a code or a clear number."""

from typing import Any
from uuid import UUID

from shared.events.catalogue import (
    VerificationFailed,
    VerificationRefused,
    VerificationRequested,
    VerificationSucceeded,
)
from shared.events.envelope import OutboxMessage, new_event
from shared.events.words import Limiter
from shared.internal_api.sms import Purpose
from shared.phone import E164, mask, ref_hex, split

SOURCE = "sms-service"


def event_data(
    number: E164,
    ref: int,
    purpose: Purpose,
    dialect: str,
    verification_id: UUID | None = None,
    *,
    is_test: bool = False,
) -> dict[str, Any]:
    """The fields that all verification events share. A request that was refused has no ``verification_id``."""
    return {
        "verification_id": str(verification_id or ""),
        "purpose": purpose.value,
        "phone_ref": ref_hex(ref),
        "phone_masked": mask(number),
        "country": split(number)[0],
        "dialect": dialect,
        "test_number": is_test,
    }


def requested(data: dict[str, Any], version: int) -> OutboxMessage:
    return _of_verification(VerificationRequested(**data), version)


def refused(data: dict[str, Any], limiter: Limiter, retry_after: int | None) -> OutboxMessage:
    event = VerificationRefused(**data, limiter=limiter, retry_after=retry_after or 0)
    return new_event(event, source=SOURCE, subject=event.phone_ref, version=0)


def succeeded(data: dict[str, Any], version: int) -> OutboxMessage:
    return _of_verification(VerificationSucceeded(**data), version)


def failed(data: dict[str, Any], version: int, tries_left: int) -> OutboxMessage:
    return _of_verification(VerificationFailed(**data, reason="incorrect", tries_left=tries_left), version)


def _of_verification(
    event: VerificationRequested | VerificationSucceeded | VerificationFailed, version: int
) -> OutboxMessage:
    return new_event(event, source=SOURCE, subject=event.verification_id, version=version)
