"""Challenges: the id of a verification as text that a client sends back. It is worthless without the code."""

from uuid import UUID

from shared.encoding import from_base64url, to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose

_PURPOSES = list(Purpose)


def challenge_of(purpose: Purpose, verification_id: UUID) -> str:
    """The purpose and the id as URL-safe text."""
    return to_base64url(bytes([_PURPOSES.index(purpose)]) + verification_id.bytes)


def read_challenge(text: str) -> tuple[Purpose, UUID]:
    """The purpose and the id in a challenge. Raises ``CODE_REFUSED`` if the text is not a challenge."""
    try:
        raw = from_base64url(text)
        return _PURPOSES[raw[0]], UUID(bytes=raw[1:])
    except (ValueError, LookupError):
        raise ServiceError(ErrorCode.CODE_REFUSED) from None
