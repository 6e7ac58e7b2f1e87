"""Resolves tokens: an opaque session token, or an access token, to the session that it belongs to."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from auth_service.sessions.model import hash_token
from auth_service.tokens.access_tokens import AccessTokens
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Resolved


class SessionFinder(Protocol):
    """The sessions that have not ended, of accounts that are not banned."""

    async def find_by_token(self, token_hash: bytes) -> Resolved | None:
        """The session of an opaque token."""

    async def find_by_id(self, session_id: UUID) -> Resolved | None:
        """The session of an id."""


class TokenResolver:
    """The rules. The row of the session decides, so an access token is never accepted after its session has ended."""

    def __init__(self, sessions: SessionFinder, access_tokens: AccessTokens, clock: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._clock = clock

    async def resolve(self, token: str) -> Resolved:
        """The session of a token, with its account. Raises ``UNAUTHENTICATED``."""
        if "." in token:
            session_id = self._access_tokens.session_of(token, now=self._clock())
            resolved = await self._sessions.find_by_id(session_id)
        else:
            resolved = await self._sessions.find_by_token(hash_token(token))
        if resolved is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        return resolved
