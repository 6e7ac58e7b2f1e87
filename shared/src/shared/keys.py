"""Key rings and tokens: a current one, and others that are accepted, so that one is replaced without downtime."""

import hashlib
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class KeyRing:
    """Keys by id (1 to 255). The current key, the first in the text, signs. All of them verify."""

    current: int
    by_id: dict[int, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``2:<hex>,1:<hex>``, the current key first.

        Raises ``ValueError``, without quoting the text, if it is malformed or a key is shorter than 32 bytes.
        """
        try:
            pairs = [(int(number), bytes.fromhex(key)) for number, key in map(_split, text.split(","))]
        except ValueError:
            raise ValueError("expected <id>:<hex>[,<id>:<hex>...], the current key first") from None
        if any(not 0 < number < 256 for number, _ in pairs):
            raise ValueError("a key id is a number from 1 to 255")
        if any(len(key) < 32 for _, key in pairs):
            raise ValueError("a key needs at least 64 hex digits (32 bytes)")
        if len({number for number, _ in pairs}) != len(pairs):
            raise ValueError("a key id is used twice")
        return cls(pairs[0][0], dict(pairs))

    @property
    def secret(self) -> bytes:
        """The current key."""
        return self.by_id[self.current]


MAX_TOKENS = 2
"""A token and the one that replaces it."""


def active_tokens(text: str) -> tuple[str, ...]:
    """Parse ``new,old``: the first token is presented, all are accepted.

    Raises ``ValueError``, without quoting the text, if one is empty or occurs twice, or if there are more than two.
    """
    tokens = tuple(token.strip() for token in text.split(","))
    if not all(tokens) or len(tokens) > MAX_TOKENS:
        raise ValueError("expected a token, or two that are separated by a comma")
    if len(set(tokens)) != len(tokens):
        raise ValueError("a token is listed twice")
    return tokens


def _split(item: str) -> tuple[str, str]:
    number, _, key = item.strip().partition(":")
    return number, key


_DEVELOPMENT_MARK = hashlib.sha256(b"haoma development").hexdigest()[:16]


def development_secret(name: str) -> str:
    """A well-known secret for development: 64 hex digits, the last 16 of which mark it as one."""
    return hashlib.sha256(f"haoma development {name}".encode()).hexdigest()[:48] + _DEVELOPMENT_MARK


def holds_development_secret(text: str) -> bool:
    """Whether ``text`` contains a secret for development, in lower or upper case."""
    return _DEVELOPMENT_MARK in text.lower()
