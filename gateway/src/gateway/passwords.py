"""Passwords as clients send them, and the one canonical secret that all dialects share.

The secret is ``m = md5hex(utf8(password))``: one contract sends nothing else, so every contract is reduced to it
and a user may move between them. It is an encoding for the wire; auth-service stores argon2id over a keyed digest.
"""

import hashlib
import re
from dataclasses import dataclass, field

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, parse, split

SHORTEST = 6
LONGEST = 128
_PRINTABLE = re.compile(r"[ -~]*")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True)
class Password:
    """What a client sent: the plain text, or already its md5."""

    secret: str = field(repr=False)
    plain: str | None = field(default=None, repr=False)

    @classmethod
    def from_plain(cls, text: str) -> "Password":
        """A password in plain text."""
        return cls(_md5_hex(text), text)

    @classmethod
    def from_md5(cls, text: str) -> "Password":
        """A password whose md5 hex the client sends. Raises ``PARAMETER_INVALID`` unless exactly 32 hex digits."""
        if not _MD5.fullmatch(text):
            raise ServiceError(ErrorCode.PARAMETER_INVALID, field="password")
        return cls(text.lower())

    @classmethod
    def from_either(cls, text: str) -> "Password":
        """The md5 where it has that shape, else plain text."""
        return cls.from_md5(text) if _MD5.fullmatch(text) else cls.from_plain(text)

    def accepted_for(self, number: E164 | None, *, shortest: int = SHORTEST) -> str:
        """The secret, once the rules for a *new* password are met; an md5 hides all but one of them.

        Raises ``PASSWORD_CHARACTERS`` for anything but printable ASCII and ``PASSWORD_LENGTH`` for under
        ``shortest`` or over 128 characters, or a password that is the phone number itself. Without a number only
        auth-service, which opens the ticket, can tell the last.
        """
        if self.plain is not None:
            if not _PRINTABLE.fullmatch(self.plain):
                raise ServiceError(ErrorCode.PASSWORD_CHARACTERS, field="password")
            if not shortest <= len(self.plain) <= LONGEST:
                raise ServiceError(ErrorCode.PASSWORD_LENGTH, field="password")
        if number and (self._is_md5_of(number) or self._spells(number)):
            raise ServiceError(ErrorCode.PASSWORD_LENGTH, field="password")
        return self.secret

    def _is_md5_of(self, number: E164) -> bool:
        return self.secret in {_md5_hex(text) for text in (number, number[1:], split(number)[1])}

    def _spells(self, number: E164) -> bool:
        try:
            code = split(number)[0]
            return self.plain is not None and parse(self.plain, calling_code=code, served={code}) == number
        except ServiceError:
            return False


def _md5_hex(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
