"""A password as a client presents it, the recipe of a foreign digest, and the digest with its recipe."""

import hashlib
from dataclasses import dataclass, field
from typing import Protocol


class PlainTextNeededError(Exception):
    """The recipe needs the password in plain text, and the client sent its md5."""


class DigestRefusedError(Exception):
    """The digest cannot be imported. ``reason`` is a word for the file of errors, such as ``password_malformed``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PresentedPassword:
    """A password from a client: the lower-case md5 hex of its UTF-8 bytes, and the plain text if the client sent it."""

    secret: str = field(repr=False)
    plain: str | None = field(default=None, repr=False)

    @classmethod
    def from_plain(cls, text: str) -> "PresentedPassword":
        """As a client presents it that sends plain text."""
        return cls(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), text)

    @property
    def secret_bytes(self) -> bytes:
        return self.secret.encode()

    @property
    def plain_bytes(self) -> bytes:
        """The UTF-8 bytes of the plain text. Raises ``PlainTextNeededError``."""
        return self.plain_text.encode()

    @property
    def plain_text(self) -> str:
        """The plain text. Raises ``PlainTextNeededError``."""
        if self.plain is None:
            raise PlainTextNeededError
        return self.plain


class Recipe(Protocol):
    """How a foreign digest is computed from a password: function, parameters and salt, without the digest."""

    @property
    def text(self) -> str:
        """The recipe as it is stored: ASCII fields with ``;`` between them, which ``recipes.recipe_of`` reads."""

    @property
    def cost(self) -> str:
        """What the time of ``compute`` depends on; empty for a fast function."""

    @property
    def needs_plain(self) -> bool:
        """Whether the md5 of a password is not enough."""

    def compute(self, password: PresentedPassword) -> str:
        """The digest, in ASCII. Raises ``PlainTextNeededError``."""


@dataclass(frozen=True, slots=True)
class ForeignDigest:
    """A digest that another system made. ``value`` is what ``recipe`` computes from the right password."""

    recipe: Recipe = field(repr=False)
    value: str = field(repr=False)
