"""Reads the digests of slow functions: their own spellings, and parameters beside a digest."""

import re
from base64 import urlsafe_b64encode

from auth_service.digests.costs import (
    MALFORMED,
    MAX_BCRYPT_COST,
    MAX_LANES,
    MAX_MEMORY,
    MAX_PASSES,
    MAX_ROUNDS,
    SIZES,
    check_scrypt,
    number,
)
from auth_service.digests.layouts import UNKNOWN_LAYOUT, parse_layout
from auth_service.digests.model import DigestRefusedError, ForeignDigest
from auth_service.digests.recipes import Derivation
from auth_service.digests.spelling import SpelledDigest, base64_bytes, unsized_bytes

BCRYPT_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})")
ARGON2 = re.compile(
    r"\$argon2(id|i|d)(?:\$v=(16|19))?\$m=([0-9]+),t=([0-9]+),p=([0-9]+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
FIREBASE = re.compile(
    r"\$fbscrypt\$v=1,n=([0-9]+),r=([0-9]+),p=1,ss=([\w+/=-]*),sk=([\w+/=-]+)\$([\w+/=-]+)\$([\w+/=-]+)", re.ASCII
)
PBKDF2 = re.compile(r"pbkdf2:(md5|sha1|sha256|sha512):([0-9]+)")
SCRYPT = re.compile(r"scrypt:([0-9]+):([0-9]+):([0-9]+)")
UNVERSIONED = "16"
"""The version of an argon2 digest that names none."""
ARGON2_SALT = range(8, 65)


def read_bcrypt(spelled: SpelledDigest) -> ForeignDigest:
    """``$2y$10$…``, also ``$2a$`` and ``$2b$``, which differ in passwords over 255 bytes only."""
    cost, salt, value = _matched(BCRYPT, spelled.digest)
    number(cost, range(4, MAX_BCRYPT_COST + 1))
    return _derived("bcrypt", (cost,), spelled.of, _canonical_salt(salt).encode(), value)


def read_argon2(spelled: SpelledDigest) -> ForeignDigest:
    """``$argon2id$v=19$m=…,t=…,p=…$salt$hash``, also ``argon2i`` and ``argon2d``."""
    kind, version, memory, passes, lanes, salt, digest = _matched(ARGON2, spelled.digest)
    raw_salt, raw = base64_bytes(salt), base64_bytes(digest)
    used = number(lanes, range(1, MAX_LANES + 1))
    number(memory, range(8 * used, MAX_MEMORY // 1024 + 1))
    number(passes, range(1, MAX_PASSES + 1))
    if len(raw_salt) not in ARGON2_SALT or len(raw) not in SIZES:
        raise DigestRefusedError(MALFORMED)
    parameters = (kind, version or UNVERSIONED, memory, passes, lanes, str(len(raw)))
    return _derived("argon2", parameters, spelled.of, raw_salt, raw.hex())


def read_firebase(spelled: SpelledDigest) -> ForeignDigest:
    """``$fbscrypt$v=1,n=14,r=8,p=1,ss=…,sk=…$salt$hash``: Firebase's, as Supabase spells it."""
    memory_cost, rounds, separator, signer_key, salt, digest = _matched(FIREBASE, spelled.digest)
    check_scrypt(2 ** number(memory_cost, range(1, 21)), number(rounds, range(1, 65)))
    key, raw = base64_bytes(signer_key), base64_bytes(digest)
    if len(raw) != len(key) or len(raw) not in SIZES:
        raise DigestRefusedError(MALFORMED)
    parameters = (memory_cost, rounds, _canonical(separator), _canonical(signer_key))
    return _derived("firebase", parameters, "p", base64_bytes(salt), raw.hex())


def read_pbkdf2(spelled: SpelledDigest) -> ForeignDigest:
    """``pbkdf2:sha256:600000`` as the format, with salt and digest beside it."""
    function, rounds = _matched(PBKDF2, spelled.format)
    number(rounds, range(1, MAX_ROUNDS + 1))
    raw = _sized(spelled.digest)
    return _derived("pbkdf2", (function, rounds, str(len(raw))), spelled.of, spelled.salt, raw.hex())


def read_scrypt(spelled: SpelledDigest) -> ForeignDigest:
    """``scrypt:16384:8:1`` (n, r, p) as the format, with salt and digest beside it."""
    n, r, p = _matched(SCRYPT, spelled.format)
    check_scrypt(number(n, range(2, 2**20 + 1)), number(r, range(1, 65)))
    number(p, range(1, MAX_LANES + 1))
    raw = _sized(spelled.digest)
    return _derived("scrypt", (n, r, p, str(len(raw))), spelled.of, spelled.salt, raw.hex())


def _derived(name: str, parameters: tuple[str, ...], of: str, salt: bytes, value: str) -> ForeignDigest:
    layout = parse_layout(of)
    if "salt" in layout.text:
        raise DigestRefusedError(UNKNOWN_LAYOUT)
    return ForeignDigest(Derivation(name, parameters, layout, salt), value)


def _matched(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise DigestRefusedError(MALFORMED)
    return match.groups()


def _sized(text: str) -> bytes:
    raw = unsized_bytes(text)
    if len(raw) not in SIZES:
        raise DigestRefusedError(MALFORMED)
    return raw


def _canonical_salt(salt: str) -> str:
    """The salt with zeros for the four bits of its last character that bcrypt ignores and its library refuses."""
    return salt[:-1] + BCRYPT_ALPHABET[BCRYPT_ALPHABET.index(salt[-1]) & 0b110000]


def _canonical(text: str) -> str:
    return urlsafe_b64encode(base64_bytes(text)).decode()
