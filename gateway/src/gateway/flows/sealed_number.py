"""Sealed numbers: opaque, tamper-proof text that carries a number through a client, for one purpose and ten minutes."""

import hmac
import secrets
import struct
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.encoding import from_base64url, to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164, block

LIFETIME = timedelta(minutes=10)
_EXPIRY = struct.Struct(">I")
_NONCE_BYTES = 8


class NumberSeal:
    """AES-SIV (RFC 5297) after one byte with the key's id. A random nonce makes two seals of one number differ."""

    def __init__(self, keys: KeyRing) -> None:
        self._current = keys.current
        self._ciphers = {
            number: AESSIV(hmac.digest(key, b"number seal", "sha512")) for number, key in keys.by_id.items()
        }

    def seal(self, number: E164, purpose: Purpose, *, now: datetime) -> str:
        """The number as URL-safe text of constant length."""
        plain = _EXPIRY.pack(int((now + LIFETIME).timestamp())) + secrets.token_bytes(_NONCE_BYTES) + block(number)
        sealed = self._ciphers[self._current].encrypt(plain, _context(purpose))
        return to_base64url(bytes([self._current]) + sealed)

    def unseal(self, text: str, purpose: Purpose, *, now: datetime) -> E164:
        """The sealed number. Raises ``CODE_REFUSED`` if the seal is forged, expired or for another purpose."""
        try:
            raw = from_base64url(text)
            plain = self._ciphers[raw[0]].decrypt(raw[1:], _context(purpose))
        except (ValueError, LookupError, InvalidTag):
            raise ServiceError(ErrorCode.CODE_REFUSED) from None
        (expires,) = _EXPIRY.unpack_from(plain)
        if datetime.fromtimestamp(expires, UTC) <= now:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        return E164(plain[_EXPIRY.size + _NONCE_BYTES :].rstrip(b"\0").decode())


def _context(purpose: Purpose) -> list[bytes]:
    return [b"haoma number seal v1", purpose.value.encode()]
