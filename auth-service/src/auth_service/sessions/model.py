"""A session about to be opened, and a session that has ended."""

import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from auth_service.client_context import ClientContext
from shared.events.envelope import new_id

MAX_SESSIONS = 100
"""The most sessions one user has. One more ends the oldest."""


class TokenSession(NamedTuple):
    """The session of an access token, and the generation of the token: a change of password begins a higher one.

    Once the first refresh token of a generation is used, the session accepts no tokens of lower ones.
    """

    session_id: UUID
    generation: int


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session about to be written. The response carries its token; the table has only the SHA-256."""

    user_id: int
    context: ClientContext
    session_id: UUID = field(default_factory=new_id)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def token_hash(self) -> bytes:
        return hash_token(self.token)


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that was deleted."""

    session_id: UUID
    user_id: int
    client: str


def hash_token(token: str) -> bytes:
    """The SHA-256 under which a token is stored. A token has 256 random bits, so it needs no salt."""
    return sha256(token.encode()).digest()
