"""Tickets prove that a number was verified: sms-service issues them, clients carry them, auth-service redeems them."""

import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.encoding import from_base64url, to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164

LIFETIME = timedelta(minutes=10)
_HEAD = struct.Struct(">16sBI")
_PURPOSES = list(Purpose)
_CONTEXT = [b"haoma ticket v1"]


@dataclass(frozen=True)
class Ticket:
    """A verified number and its purpose. A ticket can be redeemed once, until ``expires_at``."""

    verification_id: UUID
    number: E164
    purpose: Purpose
    expires_at: datetime


class TicketCodec:
    """Encrypts and decrypts tickets with AES-SIV (RFC 5297), after one byte with the id of the key.

    A sealed ticket is deterministic (one verification always gives the same text), opaque (it reveals nothing about the
    number) and tamper-proof.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._current = keys.current
        self._ciphers = {number: AESSIV(hmac.digest(key, b"ticket", "sha512")) for number, key in keys.by_id.items()}

    def seal(self, ticket: Ticket) -> str:
        """Encrypt a ticket. Returns URL-safe text."""
        head = _HEAD.pack(
            ticket.verification_id.bytes,
            _PURPOSES.index(ticket.purpose),
            int(ticket.expires_at.timestamp()),
        )
        sealed = self._ciphers[self._current].encrypt(head + ticket.number.encode(), _CONTEXT)
        return to_base64url(bytes([self._current]) + sealed)

    def open(self, text: str, purpose: Purpose, *, now: datetime) -> Ticket:
        """Decrypt a ticket. Raises ``ServiceError(CODE_REFUSED)`` if it is forged, expired or for another purpose."""
        ticket = self._decrypt(text)
        if ticket.purpose is not purpose or ticket.expires_at <= now:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        return ticket

    def _decrypt(self, text: str) -> Ticket:
        try:
            raw = from_base64url(text)
            plain = self._ciphers[raw[0]].decrypt(raw[1:], _CONTEXT)
        except (ValueError, LookupError, InvalidTag):
            raise ServiceError(ErrorCode.CODE_REFUSED) from None
        identity, purpose, expires = _HEAD.unpack_from(plain)
        number = E164(plain[_HEAD.size :].decode())
        return Ticket(UUID(bytes=identity), number, _PURPOSES[purpose], datetime.fromtimestamp(expires, UTC))
