"""Phone numbers: parsing to E.164, keyed references, and a mask for display."""

import hmac
import re
import sys
from array import array
from collections.abc import Collection, Iterable
from typing import NewType

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from shared.errors import ErrorCode, ServiceError
from shared.numbers.spelling import clean

E164 = NewType("E164", str)
"""A canonical number: a plus sign and 7 to 15 ASCII digits. Limits, codes and accounts are keyed by it."""

MAINLAND = "86"
BLOCK = 16
"""The AES block size in bytes. A number is padded to it before it becomes a reference."""
MAX_DIGITS = 20
MAINLAND_MOBILE = "1[3-9][0-9]{9}"
"""The shape of a mainland mobile number. Libraries learn of newly assigned ranges too late."""
_ACCESS_CODE = "12583[1-9]|1(?:[12][0-9]|79)[0-9]{2}|10131|10190|10193"
"""What people of the mainland dial before a number to choose a carrier, such as 17951, 12593 and 10193.

After 12583 comes which of their own further numbers calls.
"""
_PLAIN = re.compile(rf"(?:\+86|0086|86)?({MAINLAND_MOBILE})")
_MAINLAND = re.compile(
    rf"((?:\+|(?:\+|{_ACCESS_CODE})?00|{_ACCESS_CODE})?86)?(?:(?:{_ACCESS_CODE})?0?)({MAINLAND_MOBILE})"
)
_DIGITS = re.compile(r"\+?[0-9]+")
_EXIT_CODE = re.compile(r"^\+?00")
_NUMBER_IN_TEXT = re.compile(r"\d(?:[ ./()\u2010-\u2015-]*\d){6,}")
HIDDEN = "****"


def parse(raw: str, *, calling_code: str = MAINLAND, served: Collection[str] = (MAINLAND,)) -> E164:
    """Parse a number as people write it. ``calling_code`` applies to a national number.

    The text is cleaned first (``shared.numbers.spelling``). A space in front is a plus sign that a query string lost,
    if the number cannot be read without one. Old forms of changed numbering plans become the present number. Raises
    ``ServiceError(NUMBER_REFUSED)`` for over 20 digits, for other characters than digits and one plus sign in front
    (letters, extensions), for a country that is not served, and for a number that cannot be a mobile: the shape decides
    in the mainland, libphonenumber elsewhere. ``docs/decisions/0036`` has all rules.
    """
    at_home = calling_code == MAINLAND and MAINLAND in served
    if at_home and (plain := _PLAIN.fullmatch(raw)):
        return E164("+86" + plain[1])
    bare = clean(raw)
    if at_home and (plain := _PLAIN.fullmatch(bare)):
        return E164("+86" + plain[1])
    number = _read(bare, calling_code, served)
    if number is None and raw.startswith(" ") and not bare.startswith("+"):
        number = _read("+" + bare, calling_code, served)
    if number is None:
        raise ServiceError(ErrorCode.NUMBER_REFUSED)
    return number


def parse_any(raw: str) -> E164:
    """Parse a number of any country as people write it. Raises ``ServiceError(NUMBER_REFUSED)``."""
    try:
        return parse(raw)
    except ServiceError:
        from phonenumbers import COUNTRY_CODE_TO_REGION_CODE  # noqa: PLC0415  15 MiB that mainland numbers do not need

        return parse(raw, served={str(code) for code in COUNTRY_CODE_TO_REGION_CODE})


def _read(bare: str, calling_code: str, served: Collection[str]) -> E164 | None:
    """The number of a cleaned text. ``86…`` is a mainland number unless it is one of the country ``calling_code``."""
    if len(bare) > MAX_DIGITS + bare.startswith("+"):
        return None
    mainland = _MAINLAND.fullmatch(bare) if MAINLAND in served else None
    if mainland and (calling_code == MAINLAND or mainland[1] not in {None, MAINLAND}):
        return E164("+86" + mainland[2])
    number = _read_abroad(bare, calling_code, served)
    if number is None and mainland and mainland[1]:
        return E164("+86" + mainland[2])
    return number


def _read_abroad(bare: str, calling_code: str, served: Collection[str]) -> E164 | None:
    if not _DIGITS.fullmatch(bare) or (len(served) == 1 and MAINLAND in served):
        return None
    from shared.numbers.plans import calling_code_of, read_mobile  # noqa: PLC0415  15 MiB that mainland numbers do not need

    for spelling in dict.fromkeys((_EXIT_CODE.sub("+", bare), bare)):
        if spelling.startswith("+") and calling_code_of(spelling[1:]) not in served:
            continue
        found = read_mobile(spelling, calling_code)
        if found is not None and found[0] in served and (found[0] != MAINLAND or _PLAIN.fullmatch(found[1])):
            return E164(found[1])
    return None


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


def hide_numbers(text: str) -> str:
    """A text that people wrote, such as a nickname, with ``****`` in place of each run of seven or more digits."""
    return _NUMBER_IN_TEXT.sub(HIDDEN, text)


class PhoneKeys:
    """References of numbers for tables and events, under one secret key. It opens nothing.

    A reference is the first 8 bytes of AES over the number as one 16-byte block. It is uniformly distributed, like a
    hash, and cannot be linked to a number without the key.
    """

    def __init__(self, secret: bytes) -> None:
        reference_key = hmac.digest(secret, b"phone reference", "sha256")[:16]
        # ECB of a single block is AES itself: a keyed permutation, not a mode for longer texts.
        self._reference = Cipher(AES(reference_key), ECB()).encryptor()  # noqa: S305
        self._mark_key = hmac.digest(secret, b"phone mark", "sha256")

    def ref(self, number: E164) -> int:
        """The reference of a number as a signed 64-bit integer, PostgreSQL's ``bigint``."""
        return int.from_bytes(self._reference.update(block(number))[:8], signed=True)

    def refs(self, numbers: Iterable[E164]) -> list[int]:
        """The references of many numbers, in their order, with one call of AES."""
        return self.refs_of_blocks("".join([number.ljust(BLOCK, "\0") for number in numbers]).encode("ascii"))

    def refs_of_blocks(self, blocks: bytes) -> list[int]:
        """The references of numbers that are written one after the other, each as ``block`` writes it."""
        words = array("q", self._reference.update(blocks))
        if sys.byteorder == "little":
            words.byteswap()
        return words[::2].tolist()

    def mark(self, number: E164) -> bytes:
        """A keyed mark of a number, for what must not be linked to its reference: 16 bytes that cannot be read back."""
        return hmac.digest(self._mark_key, number.encode(), "sha256")[:16]


def block(number: E164) -> bytes:
    """A number as the 16-byte block that ``PhoneKeys`` encrypts: ASCII, padded with zero bytes."""
    return number.encode().ljust(BLOCK, b"\0")


def ref_hex(ref: int) -> str:
    """A reference as 16 hex digits, its form in events and internal calls."""
    return (ref & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big").hex()


def ref_from_hex(text: str) -> int:
    """The signed integer of a reference in hex. Raises ``ValueError``."""
    return int.from_bytes(bytes.fromhex(text), "big", signed=True)
