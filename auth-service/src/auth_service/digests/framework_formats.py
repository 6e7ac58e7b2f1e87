"""Reads the digests of Django, Werkzeug (Flask) and better-auth, whose one text has everything."""

import re
from collections.abc import Callable

from auth_service.digests.costs import MALFORMED
from auth_service.digests.layouts import UNKNOWN_LAYOUT
from auth_service.digests.model import DigestRefusedError, ForeignDigest
from auth_service.digests.slow_formats import read_argon2, read_bcrypt, read_pbkdf2, read_scrypt
from auth_service.digests.spelling import SpelledDigest, digest_bytes, hex_bytes

Read = Callable[[SpelledDigest], ForeignDigest]
BETTER_AUTH = re.compile(r"([0-9a-f]+):([0-9a-f]{128})")
DJANGO_PBKDF2 = {"pbkdf2_sha256": ("sha256", 32), "pbkdf2_sha1": ("sha1", 20)}
DJANGO_HASHES = {"md5": 16, "sha1": 20}
DJANGO_SCRYPT_SIZE = 64
DJANGO_BCRYPT = {"bcrypt": "p", "bcrypt_sha256": "sha256(p)"}


def read_django(spelled: SpelledDigest, read_layout: Read) -> ForeignDigest:
    """``pbkdf2_sha256$…``, ``bcrypt_sha256$$…``, ``argon2$…``, ``scrypt$…``, ``sha1$…``, ``md5$…``."""
    algorithm, _, rest = spelled.digest.partition("$")
    if algorithm in DJANGO_BCRYPT:
        return read_bcrypt(SpelledDigest("bcrypt", "$" + rest.lstrip("$"), of=DJANGO_BCRYPT[algorithm]))
    if algorithm == "argon2":
        return read_argon2(SpelledDigest("argon2", "$" + rest))
    if algorithm == "scrypt":
        n, salt, r, p, digest = _parts(rest, 5)
        digest_bytes(digest, DJANGO_SCRYPT_SIZE)
        return read_scrypt(SpelledDigest(f"scrypt:{n}:{r}:{p}", digest, salt.encode()))
    if algorithm in DJANGO_PBKDF2:
        function, size = DJANGO_PBKDF2[algorithm]
        rounds, salt, digest = _parts(rest, 3)
        digest_bytes(digest, size)
        return read_pbkdf2(SpelledDigest(f"pbkdf2:{function}:{rounds}", digest, salt.encode()))
    if algorithm in DJANGO_HASHES:
        salt, digest = _parts(rest, 2)
        return read_layout(SpelledDigest(f"{algorithm}(salt+p)" if salt else f"{algorithm}(p)", digest, salt.encode()))
    raise DigestRefusedError(UNKNOWN_LAYOUT)


def read_werkzeug(spelled: SpelledDigest) -> ForeignDigest:
    """``scrypt:32768:8:1$salt$hex`` and ``pbkdf2:sha256:600000$salt$hex``."""
    method, salt, digest = _parts(spelled.digest, 3)
    hex_bytes(digest)
    read = read_scrypt if method.startswith("scrypt:") else read_pbkdf2
    return read(SpelledDigest(method, digest, salt.encode()))


def read_better_auth(spelled: SpelledDigest) -> ForeignDigest:
    """``salt:key`` in hex: scrypt with n 16384, r 16, p 1 over the password in NFKC; the salt is its hex text."""
    match = BETTER_AUTH.fullmatch(spelled.digest)
    if match is None:
        raise DigestRefusedError(MALFORMED)
    return read_scrypt(SpelledDigest("scrypt:16384:16:1", match[2], match[1].encode(), of="nfkc(p)"))


def _parts(text: str, count: int) -> list[str]:
    parts = text.split("$")
    if len(parts) != count:
        raise DigestRefusedError(MALFORMED)
    return parts
