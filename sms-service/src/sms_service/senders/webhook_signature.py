"""Signed HTTP messages as in Standard Webhooks (standardwebhooks.com): both what we post and the receipts we get."""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"
TOLERANCE_SECONDS = 300
"""How old, or how far ahead, a message may be. Within it a repetition is known by its content."""


class WebhookKey:
    """A secret shared with the other side: ``whsec_`` and base64, as the libraries have it, or any other text."""

    def __init__(self, secret: str) -> None:
        self._key = _key(secret)

    def headers(self, identity: str, body: bytes, *, now: float | None = None) -> dict[str, str]:
        """The three headers of a message. ``now`` is epoch seconds."""
        timestamp = str(int(time.time() if now is None else now))
        return {ID: identity, TIMESTAMP: timestamp, SIGNATURE: f"v1,{self._sign(identity, timestamp, body)}"}

    def verifies(self, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> bool:
        """Whether one of the signatures in ``webhook-signature`` is ours and not older than five minutes."""
        identity, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
            return False
        if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_SECONDS:
            return False
        right = f"v1,{self._sign(identity, timestamp, body)}".encode()
        given = headers.get(SIGNATURE, "").encode(errors="replace").split(b" ")
        return any(hmac.compare_digest(one, right) for one in given)

    def _sign(self, identity: str, timestamp: str, body: bytes) -> str:
        signed = f"{identity}.{timestamp}.".encode(errors="replace") + body
        return base64.b64encode(hmac.digest(self._key, signed, "sha256")).decode()


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
