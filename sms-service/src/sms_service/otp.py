"""The code of a verification. It is derived whenever it is needed and stored nowhere."""

import hmac
from datetime import timedelta
from uuid import UUID

from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164

DIGITS = 6
COUNTER = bytes(8)
"""Each key has one code, so the counter of HOTP stays 0."""
CODE_LIFETIME = timedelta(minutes=5)
NO_VERIFICATION = UUID(int=0)


class CodeDeriver:
    """Derives six digits by HOTP (RFC 4226, with SHA-256) under a key that belongs to one verification alone."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    @property
    def current_key_id(self) -> int:
        """The key for new verifications."""
        return self._keys.current

    @property
    def key_ids(self) -> frozenset[int]:
        """The keys whose verifications have codes."""
        return frozenset(self._keys.by_id)

    def code(self, key_id: int, verification_id: UUID, number: E164, purpose: Purpose) -> str:
        """The code. Raises ``LookupError`` if the key is no longer in the ring."""
        bound = verification_id.bytes + number.encode() + b"\0" + purpose.encode()
        return hotp(hmac.digest(self._keys.by_id[key_id], bound, "sha256"))

    def matches(self, text: str, key_id: int, verification_id: UUID, number: E164, purpose: Purpose) -> bool:
        """Whether ``text`` is the code, compared in constant time."""
        return same(text, self.code(key_id, verification_id, number, purpose))

    def pretend(self, number: E164) -> None:
        """Take as long as a real comparison, so that the response time does not show whether a verification exists."""
        self.matches("", self._keys.current, NO_VERIFICATION, number, Purpose.SIGN_UP)


def hotp(key: bytes) -> str:
    """The first code of a key (RFC 4226, 5.3, with SHA-256), at a sixth of the cost of cryptography's."""
    digest = hmac.digest(key, COUNTER, "sha256")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def same(text: str, expected: str) -> bool:
    """Compare in constant time. ``text`` may be any text a caller sends."""
    return hmac.compare_digest(text.encode(), expected.encode())
