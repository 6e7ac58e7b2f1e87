"""The two kinds of recipes, and their text, which is stored beside the argon2id hash that wraps the digest."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import ClassVar

from auth_service.digests.derivations import DERIVATIONS
from auth_service.digests.layouts import WIRE_LAYOUT, Layout, parse_layout
from auth_service.digests.model import PresentedPassword, Recipe

SEPARATOR = ";"
WIRE_RECIPE = f"layout;{WIRE_LAYOUT};"
"""The recipe whose digest is the secret itself, so that wrapping it makes a hash of our own."""


@dataclass(frozen=True, slots=True)
class HashedLayout:
    """Hash functions over a password and a salt."""

    name: ClassVar[str] = "layout"
    cost: ClassVar[str] = ""
    layout: Layout
    salt: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return SEPARATOR.join((self.name, self.layout.text, _encoded(self.salt)))

    @property
    def needs_plain(self) -> bool:
        return self.layout.needs_plain

    def compute(self, password: PresentedPassword) -> str:
        return self.layout.compute(password, self.salt).decode()


@dataclass(frozen=True, slots=True)
class Derivation:
    """A slow function with its parameters. ``of`` is the layout of what it is applied to, most often ``p``."""

    name: str
    parameters: tuple[str, ...]
    of: Layout
    salt: bytes = field(repr=False)

    @property
    def cost(self) -> str:
        return SEPARATOR.join((self.name, *self.parameters))

    @property
    def text(self) -> str:
        return SEPARATOR.join((self.cost, self.of.text, _encoded(self.salt)))

    @property
    def needs_plain(self) -> bool:
        return self.of.needs_plain

    def compute(self, password: PresentedPassword) -> str:
        return DERIVATIONS[self.name](self.of.compute(password, b""), self.salt, self.parameters)


def recipe_of(text: str) -> Recipe:
    """The recipe of a stored text, which a ``Recipe`` made."""
    name, *parameters, layout, salt = text.split(SEPARATOR)
    if name == HashedLayout.name:
        return HashedLayout(parse_layout(layout), urlsafe_b64decode(salt))
    return Derivation(name, tuple(parameters), parse_layout(layout), urlsafe_b64decode(salt))


def _encoded(salt: bytes) -> str:
    return urlsafe_b64encode(salt).decode()
