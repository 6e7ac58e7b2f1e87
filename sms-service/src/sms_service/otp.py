"""The code of a verification: derived whenever it is needed, stored nowhere."""

import hmac
from datetime import timedelta
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164

DIGITS = 6
CODE_LIFETIME = timedelta(minutes=5)
NO_VERIFICATION = UUID(int=0)


class CodeDeriver:
    """Six digits by HOTP (RFC 4226, with SHA-256) under a key that belongs to one verification alone."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    @property
    def current_key_id(self) -> int:
        """The key that new verifications are made with."""
        return self._keys.current

    def code(self, key_id: int, verification_id: UUID, number: E164, purpose: Purpose) -> str:
        """The code. Raises ``LookupError`` when the key has been taken out of the ring."""
        bound = verification_id.bytes + number.encode() + b"\0" + purpose.encode()
        key = hmac.digest(self._keys.by_id[key_id], bound, "sha256")
        return HOTP(key, DIGITS, SHA256()).generate(0).decode()

    def matches(self, given: str, key_id: int, verification_id: UUID, number: E164, purpose: Purpose) -> bool:
        """Whether ``given`` is the code, compared in constant time."""
        return same(given, self.code(key_id, verification_id, number, purpose))

    def pretend(self, number: E164) -> None:
        """Work as long as for a real verification, so that the time taken tells nothing."""
        self.matches("", self._keys.current, NO_VERIFICATION, number, Purpose.SIGN_UP)


def same(given: str, expected: str) -> bool:
    """Equality in constant time, for any text a caller may send."""
    return hmac.compare_digest(given.encode(), expected.encode())
