"""What contacts-service can be asked: which of these numbers are members."""

from typing import Any

from pydantic import Field

from shared.internal_api.endpoint import Endpoint, Number, WireModel

MAX_NUMBERS = 2_000
"""The most numbers one call may bring; more is refused with ``TOO_MANY_CONTACTS``."""


class Match(WireModel):
    """An address book as the client sent it: entries that are no number are skipped, nothing is stored."""

    user_id: int
    own_phone: Number = Field(repr=False)
    phones: list[Any] = Field(repr=False)


class Contact(WireModel):
    """A member. ``phone`` is the spelling the client sent."""

    phone: str = Field(repr=False)
    user_id: int
    nickname: str
    avatar: str


class Matched(WireModel):
    """Members in the order asked, each once; ``budget_left`` is how many new numbers the user may still ask."""

    matches: list[Contact]
    budget_left: int


MATCH = Endpoint("/v1/contacts/match", Match, Matched)
