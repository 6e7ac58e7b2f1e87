"""Refresh tokens: each use of one makes the next, and using an old one again ends the session.

A successor is ``HMAC(salt, token)`` with a fresh salt: whoever presents a token that was spent moments ago (its answer
was lost, or many asked at once) is given the very same successor, although only hashes are stored. So a family never
forks: it has one living token, however many asked for it.
"""

import hmac
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.accounts.model import hash_token
from auth_service.sessions.password_login import PasswordLogin
from auth_service.tokens.access_tokens import LIFETIME, AccessTokens
from shared.encoding import to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Granted, Resolved

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as the table knows it. ``salt`` is there once it was spent; ``stale`` when that was over 30 s ago."""

    salt: bytes | None = field(repr=False)
    stale: bool


class LockedFamily(Protocol):
    """One family while nobody else may touch it."""

    session_id: UUID
    user_id: int

    async def look(self, token_hash: bytes) -> TokenRecord | None:
        """The link of this token."""

    async def spend(self, token_hash: bytes, salt: bytes, successor_hash: bytes) -> None:
        """Replace a living token by its successor; the session lives for 30 days from now."""

    async def end(self) -> None:
        """End the session, and tell that a token of it was used again."""


class RefreshTokenRepository(Protocol):
    """Where families are kept."""

    async def begin(self, session_token_hash: bytes, token_hash: bytes) -> tuple[UUID, int] | None:
        """Begin a family in the session of this token. Returns the session and its user, if it lives."""

    def turn(self, token_hash: bytes) -> AbstractAsyncContextManager[LockedFamily | None]:
        """Take turns on the living session that this refresh token belongs to; committed when the block ends."""

    async def find(self, session_id: UUID) -> Resolved | None:
        """The living session of this id and its account, unless banned."""


class RefreshTokens:
    """Grants and refreshes tokens, and tells whose any token is."""

    def __init__(
        self,
        repository: RefreshTokenRepository,
        sessions: PasswordLogin,
        tokens: AccessTokens,
        clock: Callable[[], datetime],
    ) -> None:
        self._repository = repository
        self._sessions = sessions
        self._tokens = tokens
        self._clock = clock

    async def grant(self, session_token: str) -> Granted:
        """The first tokens of a session just opened. Raises ``UNAUTHENTICATED``."""
        token = secrets.token_urlsafe(32)
        begun = await self._repository.begin(hash_token(session_token), hash_token(token))
        if begun is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        session_id, user_id = begun
        return self._granted(user_id, session_id, token)

    async def refresh(self, token: str) -> Granted:
        """New tokens for a refresh token. Raises ``UNAUTHENTICATED``, also when this very call ended the session."""
        async with self._repository.turn(hash_token(token)) as turn:
            newest = await self._advance(turn, token) if turn else None
        if turn is None or newest is None:  # raised out here, so that the end of a session is committed
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        return self._granted(turn.user_id, turn.session_id, newest)

    async def _advance(self, turn: LockedFamily, token: str) -> str | None:
        link = await turn.look(hash_token(token))
        if link is None:
            return None
        if link.stale:
            await turn.end()
            log.warning("session.revoked", user_id=turn.user_id, session_id=str(turn.session_id), cause="refresh_reuse")
            return None
        if link.salt is not None:
            return await self._newest(turn, token, link.salt)
        salt = secrets.token_bytes(32)
        newest = _successor(token, salt)
        await turn.spend(hash_token(token), salt, hash_token(newest))
        return newest

    async def _newest(self, turn: LockedFamily, token: str, salt: bytes | None) -> str | None:
        """The living token of the chain that goes on from a spent one."""
        while salt is not None:
            token = _successor(token, salt)
            link = await turn.look(hash_token(token))
            if link is None:
                return None
            salt = link.salt
        return token

    def _granted(self, user_id: int, session_id: UUID, refresh_token: str) -> Granted:
        access = self._tokens.sign(user_id, session_id, now=self._clock())
        return Granted(access_token=access, expires_in=int(LIFETIME.total_seconds()), refresh_token=refresh_token)

    async def resolve(self, token: str) -> Resolved:
        """Whose session this is, said by an opaque token or by an access token. Raises ``UNAUTHENTICATED``.

        The session's row decides either way: an access token outlives its session nowhere in Haoma.
        """
        if "." not in token:
            return await self._sessions.resolve(token)
        resolved = await self._repository.find(self._tokens.session_of(token, now=self._clock()))
        if resolved is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        return resolved


def _successor(token: str, salt: bytes) -> str:
    return to_base64url(hmac.digest(salt, token.encode(), "sha256"))
