"""How costly a foreign digest may be: a log-in computes it, with its memory and its time."""

from auth_service.digests.model import DigestRefusedError

TOO_COSTLY = "password_too_costly"
MALFORMED = "password_malformed"
MAX_MEMORY = 2**28
"""Bytes: a quarter of a gibibyte for each hashing thread."""
MAX_BCRYPT_COST = 14
MAX_ROUNDS = 5_000_000
MAX_PASSES = 20
MAX_LANES = 16
MAX_SIZE = 128
MAX_DIGITS = 9
SIZES = range(10, MAX_SIZE + 1)
"""The bytes of a digest. A shorter one would match too many passwords."""


def number(text: str, allowed: range) -> int:
    """A decimal number. Raises ``DigestRefusedError`` for what is none, or too small; and too costly if too large."""
    if not (text.isascii() and text.isdigit()):
        raise DigestRefusedError(MALFORMED)
    if len(text) > MAX_DIGITS or int(text) >= allowed.stop:
        raise DigestRefusedError(TOO_COSTLY)
    if int(text) < allowed.start:
        raise DigestRefusedError(MALFORMED)
    return int(text)


def check_scrypt(n: int, r: int) -> None:
    """Raises ``DigestRefusedError`` unless ``n`` is a power of two and the memory is within the bound."""
    if n & (n - 1):
        raise DigestRefusedError(MALFORMED)
    if 128 * n * r > MAX_MEMORY:
        raise DigestRefusedError(TOO_COSTLY)
