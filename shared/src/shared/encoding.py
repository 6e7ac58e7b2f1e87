"""Base64url without padding (RFC 4648 section 5). Decoding is strict."""

import base64
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


def to_base64url(raw: bytes) -> str:
    """Bytes as URL-safe text without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Decode URL-safe text. Raises ``ValueError`` unless it is the canonical encoding of its bytes."""
    if not _ALPHABET.fullmatch(text):
        raise ValueError("not base64url")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw
