"""Passwords as clients send them, and the canonical secret that all dialects share.

The secret is ``m = md5hex(utf8(password))``. One contract sends only this, so every password is reduced to it and
users can log in through any contract. It is a wire encoding; auth-service stores argon2id over a keyed digest.
"""

import gzip
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.resources import files

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import MAX_PLAIN_LENGTH
from shared.passwords.own_number import is_own_number
from shared.phone import E164

MIN_LENGTH = 6
MAX_LENGTH = 128
_PRINTABLE = re.compile(r"[ -~]*")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


class CommonPasswordError(ServiceError):
    """The refusal of a new password that is among the most common ones: problem documents say so."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.PASSWORD_LENGTH, field="password")


@dataclass(frozen=True)
class Password:
    """A password from a client: its secret, and its plain text unless the client sent the md5."""

    secret: str = field(repr=False)
    plain: str | None = field(default=None, repr=False)

    @property
    def plain_to_send(self) -> str | None:
        """The plain text for auth-service, to compare imported digests; None if there is none, or it is too long."""
        return self.plain if self.plain is not None and len(self.plain) <= MAX_PLAIN_LENGTH else None

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

    def accepted_for(self, number: E164 | None, common: Collection[str], *, shortest: int = MIN_LENGTH) -> str:
        """Check the rules for a *new* password and return its secret.

        Raises ``PASSWORD_CHARACTERS`` unless all characters are printable ASCII, and ``PASSWORD_LENGTH`` unless the
        length is ``shortest`` to 128, the password differs from the phone number, and its secret is not among the
        ``common`` ones. An md5 allows only the last two checks. Without a number, auth-service compares it, because it
        can read the number in the ticket.
        """
        if self.plain is not None:
            if not _PRINTABLE.fullmatch(self.plain):
                raise ServiceError(ErrorCode.PASSWORD_CHARACTERS, field="password")
            if not shortest <= len(self.plain) <= MAX_LENGTH:
                raise ServiceError(ErrorCode.PASSWORD_LENGTH, field="password")
        if number and is_own_number(self.secret, self.plain, number):
            raise ServiceError(ErrorCode.PASSWORD_LENGTH, field="password")
        if self.secret in common:
            raise CommonPasswordError
        return self.secret


def load_common_secrets() -> frozenset[str]:
    """The secrets of the most common passwords, some 12,000. As secrets they are refused in plain text and as md5."""
    packed = files("gateway").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(map(_md5_hex, gzip.decompress(packed).decode("ascii").splitlines()))


def _md5_hex(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
