"""Layouts: how a password, a salt and hash functions are put together, as in ``md5(md5(p)+salt)``.

``p`` is the password in UTF-8 and ``salt`` the salt; ``+`` joins bytes. ``md5``, ``sha1``, ``sha256`` and ``sha512``
give lower-case hex, as PHP and SQL do, and ``nfkc(p)`` is the password in the Unicode form NFKC. ``md5(p)`` is what the
contract ``maitian`` sends, so a layout in which ``p`` stands nowhere else works in every contract.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from auth_service.digests.model import DigestRefusedError, PresentedPassword

UNKNOWN_LAYOUT = "password_format_unknown"
SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
"""The hash functions of a layout, with the bytes of their digests."""
WIRE_LAYOUT = "md5(p)"
"""The layout of what the contract sends, so its digest is the secret of our own hashes."""
MAX_LENGTH = 100
MAX_DEPTH = 6
_WORD = re.compile(r"[a-z0-9]+|[()+]")

Term = Callable[[PresentedPassword, bytes], bytes]
"""Computes the bytes of a part of a layout from a password and a salt. Raises ``PlainTextNeededError``."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout that was parsed. ``function`` is its outermost hash function, or empty for ``p`` and ``nfkc(p)``."""

    text: str
    function: str
    needs_plain: bool
    compute: Term


@lru_cache(maxsize=64)
def parse_layout(text: str) -> Layout:
    """Parse a layout; spaces do not count. Raises ``DigestRefusedError`` for one that is not a layout."""
    return _Parser(text).layout()


class _Parser:
    """A recursive descent over the words of one layout."""

    def __init__(self, text: str) -> None:
        self._text = text.replace(" ", "")
        words = _WORD.findall(self._text)
        if "".join(words) != self._text or not 0 < len(self._text) <= MAX_LENGTH:
            raise DigestRefusedError(UNKNOWN_LAYOUT)
        self._words: Iterator[str] = iter([*words, ""])
        self._word = next(self._words)
        self._needs_plain = self._has_password = False

    def layout(self) -> Layout:
        function = self._word if self._word in SIZES else ""
        compute = self._term(0)
        if self._word or not self._has_password:  # a digest of the salt alone would match every password
            raise DigestRefusedError(UNKNOWN_LAYOUT)
        return Layout(self._text, function, self._needs_plain, compute)

    def _next(self, wanted: str = "") -> str:
        word = self._word
        if (wanted and word != wanted) or not word:
            raise DigestRefusedError(UNKNOWN_LAYOUT)
        self._word = next(self._words)
        return word

    def _term(self, depth: int) -> Term:
        """One part: ``p``, ``salt``, or a function of a sum."""
        name = self._next()
        if name == "salt" and depth:
            return lambda _, salt: salt
        if name == "p":
            self._needs_plain = self._has_password = True
            return lambda password, _: password.plain_bytes
        if name == "nfkc":
            return self._nfkc()
        if name not in SIZES or depth == MAX_DEPTH:
            raise DigestRefusedError(UNKNOWN_LAYOUT)
        self._next("(")
        if name == "md5" and self._is_md5_of_password():
            return lambda password, _: password.secret_bytes
        terms = self._sum(depth + 1)
        self._next(")")
        return _hashed(name, terms)

    def _nfkc(self) -> Term:
        for wanted in ("(", "p", ")"):
            self._next(wanted)
        self._needs_plain = self._has_password = True
        return lambda password, _: unicodedata.normalize("NFKC", password.plain_text).encode()

    def _is_md5_of_password(self) -> bool:
        """Whether ``p)`` comes next, and if so go past it. A ``p`` with more behind it stays for ``_sum``."""
        if self._word != "p":
            return False
        following = next(self._words)
        if following == ")":
            self._has_password = True
            self._word = next(self._words)
            return True
        self._words = iter([following, *self._words])
        return False

    def _sum(self, depth: int) -> list[Term]:
        terms = [self._term(depth)]
        while self._word == "+":
            self._next()
            terms.append(self._term(depth))
        return terms


def _hashed(name: str, terms: list[Term]) -> Term:
    def compute(password: PresentedPassword, salt: bytes) -> bytes:
        joined = b"".join(term(password, salt) for term in terms)
        return hashlib.new(name, joined, usedforsecurity=False).hexdigest().encode()

    return compute
