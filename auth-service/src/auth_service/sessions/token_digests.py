"""The digests by which tokens are stored: those of our tokens, and those that another system issued."""

import hmac
import re
from hashlib import sha256

from auth_service.sessions.model import hash_token

_RECORD_ID = re.compile(r"[0-9A-Za-z-]{1,36}\|")
"""What stands before the secret in a token of Laravel Sanctum: the id of its row, which the digest does not cover."""


TokenHashes = tuple[bytes, bytes]
"""How a token is stored: as one of ours, or as an imported one."""


class TokenDigests:
    """A token of ours is stored by its SHA-256, and one of another system by an HMAC over its SHA-256.

    Ours have 256 random bits. How random another system's tokens are cannot be seen, so without the key their digests
    are no help in guessing them. Since the HMAC is over the SHA-256, a token of which only that is known is stored in
    the same way.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"imported token", "sha256")

    def of(self, token: str) -> TokenHashes:
        """The digests by which the token may be stored: as one of ours, and as an imported one."""
        return hash_token(token), self.imported(imported_sha256(token))

    def imported(self, token_sha256: bytes) -> bytes:
        """The digest by which a token of another system is stored."""
        return hmac.digest(self._key, token_sha256, "sha256")


def imported_sha256(token: str) -> bytes:
    """The SHA-256 of the secret part of another system's token, as that system may have stored it."""
    return sha256(secret_part(token).encode()).digest()


def secret_part(token: str) -> str:
    """The token without the id of its row, if it begins with one as in ``12|secret``."""
    return _RECORD_ID.sub("", token, count=1) if _RECORD_ID.match(token) else token
