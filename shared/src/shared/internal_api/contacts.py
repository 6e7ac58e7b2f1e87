"""The internal API of contacts-service: which of these numbers are members."""

from contextlib import suppress
from typing import Any

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from shared.internal_api.endpoint import Endpoint, Number, WireModel

MAX_NUMBERS = 2_000
"""The size limit of one call. Longer lists are refused with ``TOO_MANY_CONTACTS``."""


class Match(WireModel):
    """An address book as the client sent it. Entries that are not phone numbers are skipped; nothing is stored."""

    user_id: int
    own_phone: Number = Field(repr=False)
    phones: list[Any] = Field(repr=False)

    def to_json(self) -> bytes:
        """As every message, in a fifth of the time."""
        return orjson.dumps(self.__dict__)

    @classmethod
    def from_json(cls, body: bytes) -> "Match":
        """As every message, in two thirds of the time: nothing is to be checked about the entries."""
        with suppress(ValueError, TypeError, LookupError):  # ``super`` says what is wrong
            fields = orjson.loads(body)
            phones = fields["phones"]
            if isinstance(phones, list):
                return cls.model_validate({**fields, "phones": []}).model_copy(update={"phones": phones})
        return super().from_json(body)


class Contact(TypedDict):
    """A member. ``phone`` is written as the client sent it."""

    phone: str
    user_id: int
    nickname: str
    avatar: str


class Matched(WireModel):
    """Members in the order of the request, each once. ``budget_left``: how many new numbers the user may still send.

    It may have 2,000 members, so it crosses without a model for each of them, and its reader trusts their shape.
    """

    matches: list[Contact] = Field(repr=False)
    budget_left: int

    def to_json(self) -> bytes:
        """As every message, in a fifth of the time."""
        return orjson.dumps(self.__dict__)

    @classmethod
    def from_json(cls, body: bytes) -> "Matched":
        """The message as contacts-service wrote it. Raises ``ValueError`` for what is no JSON or has other fields."""
        fields = orjson.loads(body)
        if fields.keys() != cls.model_fields.keys():
            raise ValueError("other fields")
        return cls.model_construct(**fields)


class UnreadMatched(WireModel):
    """A ``Matched`` as it crossed: the body of a contract that has the same JSON, such as ``/v2``.

    So each field of ``Matched`` is public.
    """

    body: bytes = Field(repr=False)

    @classmethod
    def from_json(cls, body: bytes) -> "UnreadMatched":
        """The message as contacts-service wrote it."""
        return cls.model_construct(body=body)


MATCH = Endpoint("/v1/contacts/match", Match, Matched)
MATCH_UNREAD = Endpoint(MATCH.path, Match, UnreadMatched)
"""The same call, for a caller that only passes the response on."""
