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
from shared.internal_api.sms import PROOFS, Purpose
from shared.keys import KeyRing
from shared.phone import E164

LIFETIME = timedelta(minutes=10)
FRESH = timedelta(minutes=5)
"""How long a ticket proves that its user is there now, as acts that cannot be undone require."""
REPEAT_WINDOW = timedelta(seconds=60)
MAX_REPEATS = 5
"""Without a secret in the call, a used code or ticket works this often again: from the same network, in this time."""
_HEAD = struct.Struct(">16sB?Q")
_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_PURPOSES = list(Purpose)
_CONTEXT = [b"haoma ticket v2"]


@dataclass(frozen=True)
class Ticket:
    """A verified number and its purpose. A ticket can be redeemed once, within ``LIFETIME`` of ``issued_at``.

    One for ``ERASE`` or ``EXPORT`` proves nothing but that its user is there, so it lives only while it is ``FRESH``.

    One that is ``repeats_only`` redeems nothing: it proves a code that was used before, so that a client that lost the
    answer can repeat its call with the same secret.
    """

    verification_id: UUID
    number: E164
    purpose: Purpose
    issued_at: datetime
    repeats_only: bool = False

    @property
    def expires_at(self) -> datetime:
        """When it can no longer be redeemed, nor a call with it be repeated."""
        return self.issued_at + (FRESH if self.purpose in PROOFS else LIFETIME)

    def is_fresh(self, now: datetime) -> bool:
        """Whether the number was verified within the last five minutes."""
        return now < self.issued_at + FRESH


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
            ticket.repeats_only,
            (ticket.issued_at - _EPOCH) // _MICROSECOND,
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
        identity, purpose, repeats_only, issued = _HEAD.unpack_from(plain)
        number = E164(plain[_HEAD.size :].decode())
        return Ticket(UUID(bytes=identity), number, _PURPOSES[purpose], _EPOCH + issued * _MICROSECOND, repeats_only)
