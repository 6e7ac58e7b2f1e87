"""A digest as a file spells it, and its bytes."""

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass, field

from auth_service.digests.costs import MALFORMED
from auth_service.digests.model import DigestRefusedError

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")


@dataclass(frozen=True, slots=True)
class SpelledDigest:
    """A digest in a file. ``of`` is the layout that a slow function was applied to, most often ``p``."""

    format: str
    digest: str = field(repr=False)
    salt: bytes = field(default=b"", repr=False)
    of: str = "p"


def hex_bytes(text: str) -> bytes:
    """The bytes of a hex text. Raises ``DigestRefusedError``."""
    if not _HEX.fullmatch(text):
        raise DigestRefusedError(MALFORMED)
    return bytes.fromhex(text)


def base64_bytes(text: str) -> bytes:
    """The bytes of a text in base64 or base64url, padded or not. Raises ``DigestRefusedError``."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise DigestRefusedError(MALFORMED) from None


def digest_bytes(text: str, size: int) -> bytes:
    """The bytes of a digest of a known size, in hex or base64. Raises ``DigestRefusedError``."""
    raw = hex_bytes(text) if len(text) == 2 * size else base64_bytes(text)
    if len(raw) != size:
        raise DigestRefusedError(MALFORMED)
    return raw


def unsized_bytes(text: str) -> bytes:
    """The bytes of a digest of any size: hex if it is hex, otherwise base64. Raises ``DigestRefusedError``."""
    return hex_bytes(text) if _HEX.fullmatch(text) else base64_bytes(text)
