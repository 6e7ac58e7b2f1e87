"""Phone numbers: parsing to E.164, keyed references and encryption for storage, and a mask for display."""

import hmac
import re
import sys
from array import array
from collections.abc import Iterable
from typing import NewType

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from shared.errors import ErrorCode, ServiceError

E164 = NewType("E164", str)
"""A canonical number: a plus sign and 7 to 15 ASCII digits. Limits, codes and accounts are keyed by it."""

MAINLAND = "86"
MAX_SPELLING = 32
BLOCK = 16
"""The AES block size in bytes. A number is padded to it before it becomes a reference."""
_MAINLAND_MOBILE = re.compile(r"(?:\+86|0086)?(1[3-9][0-9]{9})")
_SEPARATORS = re.compile(r"[ ().-]")
_SPELLING = re.compile(r"(?:\+|00)?[0-9]{4,20}")


def parse(raw: str, *, calling_code: str = MAINLAND, served: Iterable[str] = (MAINLAND,)) -> E164:
    """Parse a number as people write it. ``calling_code`` applies to a national number.

    Accepts national, ``+86…`` and ``0086…`` forms with spaces, dashes, dots and brackets. Raises
    ``ServiceError(NUMBER_REFUSED)`` for letters, extensions, control characters, digits outside ASCII, more than 32
    characters, an impossible number, and a country that is not served.
    """
    served = frozenset(served)
    if len(raw) > MAX_SPELLING:
        raise ServiceError(ErrorCode.NUMBER_REFUSED)
    bare = _SEPARATORS.sub("", raw)
    if calling_code == MAINLAND and MAINLAND in served and (quick := _MAINLAND_MOBILE.fullmatch(bare)):
        return E164("+86" + quick[1])
    if not _SPELLING.fullmatch(bare):
        raise ServiceError(ErrorCode.NUMBER_REFUSED)
    return _parse_any(bare, calling_code, served)


def _parse_any(bare: str, calling_code: str, served: frozenset[str]) -> E164:
    import phonenumbers  # noqa: PLC0415  15 MiB that mainland numbers do not need

    international = "+" + bare[2:] if bare.startswith("00") else bare
    region = phonenumbers.region_code_for_country_code(int(calling_code))
    try:
        number = phonenumbers.parse(international, region)
    except phonenumbers.NumberParseException:
        raise ServiceError(ErrorCode.NUMBER_REFUSED) from None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    possible = phonenumbers.is_possible_number(number) and str(number.country_code) in served
    if not possible or (number.country_code == int(MAINLAND) and not _MAINLAND_MOBILE.fullmatch(e164)):
        raise ServiceError(ErrorCode.NUMBER_REFUSED)
    return E164(e164)


def split(number: E164) -> tuple[str, str]:
    """The calling code and the national digits, as in ``("86", "13800138000")``."""
    if number.startswith("+86"):
        return MAINLAND, number[3:]
    import phonenumbers  # noqa: PLC0415  as above

    parsed = phonenumbers.parse(number)
    code = str(parsed.country_code)
    return code, number[1 + len(code) :]


def mask(number: E164) -> str:
    """``138****8000``: its owner recognises it, others cannot call it."""
    _, national = split(number)
    shown = 3 if len(national) > 8 else 1
    return f"{national[:shown]}****{national[-4 if len(national) > 8 else -2 :]}"


class PhoneKeys:
    """References of numbers for tables and events, and encryption of numbers for storage, under one secret key.

    A reference is the first 8 bytes of AES over the number as one 16-byte block. It is uniformly distributed, like a
    hash, and cannot be linked to a number without the key.
    """

    def __init__(self, secret: bytes) -> None:
        reference_key = hmac.digest(secret, b"phone reference", "sha256")[:16]
        # ECB of a single block is AES itself: a keyed permutation, not a mode for longer texts.
        self._reference = Cipher(AES(reference_key), ECB()).encryptor()  # noqa: S305
        self._seal = AESSIV(hmac.digest(secret, b"phone seal", "sha512"))

    def ref(self, number: E164) -> int:
        """The reference of a number as a signed 64-bit integer, PostgreSQL's ``bigint``."""
        return self.refs([number])[0]

    def refs(self, numbers: Iterable[E164]) -> list[int]:
        """The references of many numbers, in their order, with one call of AES."""
        blocks = "".join([number.ljust(BLOCK, "\0") for number in numbers])
        words = array("q", self._reference.update(blocks.encode("ascii")))
        if sys.byteorder == "little":
            words.byteswap()
        return words[::2].tolist()

    def seal(self, number: E164) -> bytes:
        """Encrypt a number with AES-SIV (RFC 5297). The same number always gives the same bytes."""
        return self._seal.encrypt(number.encode(), None)

    def open(self, sealed: bytes) -> E164:
        """Decrypt a sealed number. Raises ``cryptography.exceptions.InvalidTag`` if it was changed."""
        return E164(self._seal.decrypt(sealed, None).decode())


def block(number: E164) -> bytes:
    """A number as the 16-byte block that ``PhoneKeys`` encrypts: ASCII, padded with zero bytes."""
    return number.encode().ljust(BLOCK, b"\0")


def ref_hex(ref: int) -> str:
    """A reference as 16 hex digits, its form in events and internal calls."""
    return (ref & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big").hex()


def ref_from_hex(text: str) -> int:
    """The signed integer of a reference in hex. Raises ``ValueError``."""
    return int.from_bytes(bytes.fromhex(text), "big", signed=True)
