"""Base64url without padding, strict on the way in (RFC 4648 section 5)."""

import base64
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


def to_base64url(raw: bytes) -> str:
    """Bytes as URL-safe text without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The bytes of URL-safe text. Raises ``ValueError`` for anything but the one canonical spelling."""
    if not _ALPHABET.fullmatch(text):
        raise ValueError("not base64url")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw
