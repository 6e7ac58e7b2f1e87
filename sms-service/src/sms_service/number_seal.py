"""Encrypts the numbers that sms-service stores until their messages and verifications end."""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.keys import KeyRing
from shared.phone import E164


class NumberSeal:
    """Seals numbers with the current key of a ring, and opens what any of its keys has sealed.

    A sealed number is the id of its key in one byte, and the number encrypted with AES-SIV (RFC 5297).
    """

    def __init__(self, keys: KeyRing) -> None:
        self._current = keys.current
        self._ciphers = {
            key_id: AESSIV(hmac.digest(secret, b"phone seal", "sha512")) for key_id, secret in keys.by_id.items()
        }

    def seal(self, number: E164) -> bytes:
        """Encrypt a number. The same number gives the same bytes for as long as the key is the current one."""
        return bytes([self._current]) + self._ciphers[self._current].encrypt(number.encode(), None)

    def open(self, sealed: bytes) -> E164:
        """Decrypt a sealed number. Raises ``InvalidTag`` if it was changed, or if its key has left the ring."""
        cipher = self._ciphers.get(sealed[0]) if sealed else None
        if cipher is None:
            raise InvalidTag
        return E164(cipher.decrypt(sealed[1:], None).decode())
