"""The internal API of contacts-service: which of these numbers are members."""

from typing import Any

from pydantic import Field

from shared.internal_api.endpoint import Endpoint, Number, WireModel

MAX_NUMBERS = 2_000
"""The size limit of one call. Longer lists are refused with ``TOO_MANY_CONTACTS``."""


class Match(WireModel):
    """An address book as the client sent it. Entries that are not phone numbers are skipped; nothing is stored."""

    user_id: int
    own_phone: Number = Field(repr=False)
    phones: list[Any] = Field(repr=False)


class Contact(WireModel):
    """A member. ``phone`` is written as the client sent it."""

    phone: str = Field(repr=False)
    user_id: int
    nickname: str
    avatar: str


class Matched(WireModel):
    """Members in the order of the request, each once. ``budget_left``: how many new numbers the user may still send."""

    matches: list[Contact]
    budget_left: int


MATCH = Endpoint("/v1/contacts/match", Match, Matched)
