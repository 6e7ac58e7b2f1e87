"""Challenges: a verification as text for a client to come back with. Who holds one still needs the code."""

from uuid import UUID

from shared.encoding import from_base64url, to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose

_PURPOSES = list(Purpose)


def challenge_of(purpose: Purpose, verification_id: UUID) -> str:
    """The purpose and the id as URL-safe text."""
    return to_base64url(bytes([_PURPOSES.index(purpose)]) + verification_id.bytes)


def read_challenge(text: str) -> tuple[Purpose, UUID]:
    """What ``challenge_of`` was given. Raises ``ServiceError(CODE_REFUSED)`` for anything else."""
    try:
        raw = from_base64url(text)
        return _PURPOSES[raw[0]], UUID(bytes=raw[1:])
    except (ValueError, LookupError):
        raise ServiceError(ErrorCode.CODE_REFUSED) from None
