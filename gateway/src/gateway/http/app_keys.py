"""Keys for an app's own servers: ``Authorization: App <key>``. Only digests are configured (``APP_KEYS``)."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION

from shared.errors import ErrorCode, ServiceError

PREFIX = "haoma_app_"
"""How every key begins, so that people and secret scanners recognise one."""
KEY_BYTES = 32

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
_CREDENTIALS = re.compile(r"App +(\S+)", re.IGNORECASE)
_SENT_BY_BROWSERS = ("Origin", "Sec-Fetch-Site")


@dataclass(frozen=True)
class AppKey:
    """The key of an app as it is configured: the app's name, and the SHA-256 of the key."""

    app: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> "AppKey":
        """Parse ``shop:<64 hex digits>``. Raises ``ValueError``, which quotes nothing: the text may hold a key."""
        app, _, digest = text.strip().partition(":")
        if not _NAME.fullmatch(app):
            raise ValueError("an app's name has 1 to 32 lower-case letters, digits and dashes")
        if PREFIX in digest:
            raise ValueError("this is the key, not its digest: replace it if others could read it")
        digest = digest.strip().lower()
        if not _DIGEST.fullmatch(digest):
            raise ValueError("expected <app>:<64 hex digits>, as python -m gateway app-key prints it")
        if len(set(bytes.fromhex(digest))) < KEY_BYTES // 4:
            raise ValueError("this is not the digest of a random key: make one with python -m gateway app-key")
        return cls(app, bytes.fromhex(digest))

    def __str__(self) -> str:
        return f"{self.app}:{self.digest.hex()}"


def parse_app_keys(text: str) -> tuple[AppKey, ...]:
    """Parse keys that are separated by commas or line ends. An app may have several, so that a key can be replaced.

    Raises ``ValueError`` with the position of the wrong one.
    """
    keys: list[AppKey] = []
    for position, entry in enumerate(filter(str.strip, re.split(r"[,\n]", text)), 1):
        try:
            key = AppKey.parse(entry)
            if any(key.digest == other.digest for other in keys):
                raise ValueError("this digest is already listed")
        except ValueError as error:
            raise ValueError(f"key {position}: {error}") from None
        keys.append(key)
    return tuple(keys)


def generate(app: str) -> tuple[str, AppKey]:
    """A new key of 256 random bits, and its entry for ``APP_KEYS``. Raises ``ValueError`` if the name is malformed."""
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, AppKey.parse(f"{app}:{hashlib.sha256(key.encode()).hexdigest()}")


class AppServers:
    """Recognises the servers of apps by their keys."""

    def __init__(self, keys: Sequence[AppKey]) -> None:
        self._keys = keys

    def app_of(self, request: web.Request) -> str:
        """The name of the app whose server sends this request; empty if the request has no app key.

        Raises ``APP_KEY_REFUSED`` for a key that is unknown or malformed, and for any key that a browser sends. A
        key anywhere in the header counts as one: such a request must never pass for that of a stranger.
        """
        if AUTHORIZATION not in request.headers:
            return ""
        headers = request.headers.getall(AUTHORIZATION)
        if not any(map(_mentions_key, headers)):
            return ""
        match = _CREDENTIALS.fullmatch(headers[0])
        app = self._find(match[1] if match else "")
        if len(headers) > 1 or not app or any(name in request.headers for name in _SENT_BY_BROWSERS):
            raise ServiceError(ErrorCode.APP_KEY_REFUSED)
        return app

    def _find(self, key: str) -> str:
        """Compare the key with all keys, in constant time. A malformed one takes as long as any other."""
        digest, found = hashlib.sha256(key.encode(errors="replace")).digest(), ""
        for known in self._keys:
            if hmac.compare_digest(known.digest, digest):
                found = known.app
        return found if _KEY.fullmatch(key) else ""


def _mentions_key(header: str) -> bool:
    """Whether a key is meant, also where the header is malformed or names another scheme."""
    return PREFIX in header or any(part.lstrip()[:4].rstrip().lower() == "app" for part in header.split(","))
