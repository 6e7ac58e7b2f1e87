"""Resolves tokens to the session that they belong to: our access tokens and opaque ones, and imported ones."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from auth_service.sessions.model import TokenSession
from auth_service.sessions.token_digests import TokenDigests, TokenHashes
from auth_service.tokens.access_tokens import AccessTokens
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Resolved


class SessionFinder(Protocol):
    """The sessions that have not ended, of accounts that are not banned."""

    async def find_by_token(self, token_hashes: TokenHashes) -> Resolved | None:
        """The session of an opaque token that may be stored by one of these hashes."""

    async def find_by_access_token(self, session: TokenSession) -> Resolved | None:
        """The session of an access token, if it accepts the generation of the token."""


class TokenResolver:
    """The rules. The row of the session decides, so an access token is never accepted after its session has ended.

    An imported token may look like a JWT. Nothing in it is read: only its digest counts, and only where it is no access
    token of ours.
    """

    def __init__(
        self,
        sessions: SessionFinder,
        access_tokens: AccessTokens,
        digests: TokenDigests,
        clock: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._digests = digests
        self._clock = clock

    async def resolve(self, token: str) -> Resolved:
        """The session of a token, with its account. Raises ``UNAUTHENTICATED``."""
        session = self._access_tokens.session_of(token, now=self._clock()) if "." in token else None
        if session is None:
            resolved = await self._sessions.find_by_token(self._digests.of(token))
        else:
            resolved = await self._sessions.find_by_access_token(session)
        if resolved is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        return resolved
