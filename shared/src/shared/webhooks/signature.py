"""The signatures of Standard Webhooks (standardwebhooks.com): of what we post, and of the receipts we get."""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from itertools import product

from shared.keys import active_tokens

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"
TOLERANCE_SECONDS = 300
"""How far a timestamp may be from now. Within it, a repeated message is recognised by its content."""


class WebhookKey:
    """A secret shared with the other side: ``whsec_`` and base64, as the libraries write it, or any other text.

    While it is replaced there are two, ``new,old``: messages have a signature of each, and either is accepted.
    """

    def __init__(self, secrets: str) -> None:
        self._keys = [_decode_secret(secret) for secret in active_tokens(secrets)]

    def headers(self, message_id: str, body: bytes, *, now: float | None = None) -> dict[str, str]:
        """The three headers of a message. ``now`` is in epoch seconds."""
        timestamp = str(int(time.time() if now is None else now))
        signatures = self._signatures(message_id, timestamp, body)
        return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}

    def verifies(self, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> bool:
        """Whether one of the signatures is ours, and the timestamp is within five minutes of now."""
        message_id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
            return False
        if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_SECONDS:
            return False
        expected = [signature.encode() for signature in self._signatures(message_id, timestamp, body)]
        signatures = headers.get(SIGNATURE, "").encode(errors="replace").split(b" ")
        return any(hmac.compare_digest(*pair) for pair in product(signatures, expected))

    def _signatures(self, message_id: str, timestamp: str, body: bytes) -> list[str]:
        """A signature under each secret, the current one first."""
        signed = f"{message_id}.{timestamp}.".encode(errors="replace") + body
        digests = [hmac.digest(key, signed, "sha256") for key in self._keys]
        return [f"v1,{base64.b64encode(digest).decode()}" for digest in digests]


def _decode_secret(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
