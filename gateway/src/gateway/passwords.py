"""Passwords as clients send them, and the canonical secret that all dialects share.

The secret is ``m = md5hex(utf8(password))``. One contract sends only this, so every password is reduced to it and
users can log in through any contract. It is a wire encoding; auth-service stores argon2id over a keyed digest.
"""

import hashlib
import re
from dataclasses import dataclass, field

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, parse, split

MIN_LENGTH = 6
MAX_LENGTH = 128
_PRINTABLE = re.compile(r"[ -~]*")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True)
class Password:
    """A password from a client: its secret, and its plain text unless the client sent the md5."""

    secret: str = field(repr=False)
    plain: str | None = field(default=None, repr=False)

    @classmethod
    def from_plain(cls, text: str) -> "Password":
        """From plain text."""
        return cls(_md5_hex(text), text)

    @classmethod
    def from_md5(cls, text: str) -> "Password":
        """From its md5 hex. Raises ``PARAMETER_INVALID`` unless the text is exactly 32 hex digits."""
        if not _MD5.fullmatch(text):
            raise ServiceError(ErrorCode.PARAMETER_INVALID, field="password")
        return cls(text.lower())

    @classmethod
    def from_either(cls, text: str) -> "Password":
        """From its md5 hex if the text has that shape, otherwise from plain text."""
        return cls.from_md5(text) if _MD5.fullmatch(text) else cls.from_plain(text)

    def accepted_for(self, number: E164 | None, *, shortest: int = MIN_LENGTH) -> str:
        """Check the rules for a *new* password and return its secret.

        Raises ``PASSWORD_CHARACTERS`` unless all characters are printable ASCII, and ``PASSWORD_LENGTH`` unless the
        length is ``shortest`` to 128 and the password differs from the phone number. An md5 allows only the last
        check. Without a number, auth-service makes that check, because it can read the number in the ticket.
        """
        if self.plain is not None:
            if not _PRINTABLE.fullmatch(self.plain):
                raise ServiceError(ErrorCode.PASSWORD_CHARACTERS, field="password")
            if not shortest <= len(self.plain) <= MAX_LENGTH:
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
