"""Phone numbers: every spelling to E.164, E.164 to a keyed reference, and a mask for people to read."""

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
"""A canonical number: a plus sign and 7 to 15 ASCII digits. The key of every limit, code and account."""

MAINLAND = "86"
MAX_SPELLING = 32
BLOCK = 16
"""Bytes of AES, to which a number is padded before it becomes a reference."""
_MAINLAND_MOBILE = re.compile(r"(?:\+86|0086)?(1[3-9][0-9]{9})")
_SEPARATORS = re.compile(r"[ ().-]")
_SPELLING = re.compile(r"(?:\+|00)?[0-9]{4,20}")


def parse(raw: str, *, calling_code: str = MAINLAND, served: Iterable[str] = (MAINLAND,)) -> E164:
    """Canonicalise one spelling of a number; ``calling_code`` applies where the spelling has none.

    Accepts national, ``+86…`` and ``0086…`` forms with spaces, dashes, dots and brackets. Raises
    ``ServiceError(NUMBER_REFUSED)`` for anything else: letters, extensions, control characters, digits that
    are not ASCII, more than 32 characters, a number that is not possible, a country that is not served.
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
    import phonenumbers  # noqa: PLC0415  15 MiB that most processes never need: see the quick path above

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
    """The calling code and the national digits of a canonical number, as in ``("86", "13800138000")``."""
    if number.startswith("+86"):
        return MAINLAND, number[3:]
    import phonenumbers  # noqa: PLC0415  as above

    parsed = phonenumbers.parse(number)
    code = str(parsed.country_code)
    return code, number[1 + len(code) :]


def mask(number: E164) -> str:
    """``138****8000``: enough for its owner to recognise, too little to call."""
    _, national = split(number)
    shown = 3 if len(national) > 8 else 1
    return f"{national[:shown]}****{national[-4 if len(national) > 8 else -2 :]}"


class PhoneKeys:
    """Numbers under a secret key: a one-way-looking reference for tables and events, and a seal for storage.

    The reference is the first 8 bytes of AES over the number as one 16-byte block: a permutation cut in
    half, so it is uniform (good as a hash) and meaningless without the key.
    """

    def __init__(self, secret: bytes) -> None:
        reference_key = hmac.digest(secret, b"phone reference", "sha256")[:16]
        # ECB over one independent block is the permutation wanted here, not a mode of encryption.
        self._reference = Cipher(AES(reference_key), ECB()).encryptor()  # noqa: S305
        self._seal = AESSIV(hmac.digest(secret, b"phone seal", "sha512"))

    def ref(self, number: E164) -> int:
        """The reference of one number as PostgreSQL's signed ``bigint``."""
        return self.refs([number])[0]

    def refs(self, numbers: Iterable[E164]) -> list[int]:
        """The references of many numbers, in order, by one call of AES."""
        blocks = "".join([number.ljust(BLOCK, "\0") for number in numbers])
        words = array("q", self._reference.update(blocks.encode("ascii")))
        if sys.byteorder == "little":
            words.byteswap()
        return words[::2].tolist()

    def seal(self, number: E164) -> bytes:
        """The number encrypted for storage; the same number seals to the same bytes."""
        return self._seal.encrypt(number.encode(), None)

    def open(self, sealed: bytes) -> E164:
        """The number that was sealed. Raises ``cryptography.exceptions.InvalidTag`` when tampered with."""
        return E164(self._seal.decrypt(sealed, None).decode())


def block(number: E164) -> bytes:
    """A number as the 16-byte block that its reference is made of: ASCII, padded with zero bytes."""
    return number.encode().ljust(BLOCK, b"\0")


def ref_hex(ref: int) -> str:
    """A reference as it goes over the wire: 16 hex digits."""
    return (ref & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big").hex()


def ref_from_hex(text: str) -> int:
    """The signed ``bigint`` of a reference from the wire. Raises ``ValueError``."""
    return int.from_bytes(bytes.fromhex(text), "big", signed=True)
