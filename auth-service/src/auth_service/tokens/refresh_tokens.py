"""Refresh tokens: each use replaces the token, and reuse after its successor was used ends the session.

A successor is ``HMAC(salt, token)`` with a fresh salt. Until the successor is used, the token gives the same
successor again, however late: the response to the client may have been lost. So the tokens of a session form one chain
with one usable token, however many requests arrive at once, although only hashes are stored.

A change of password begins a new chain in the session that stays. Its first use ends the chain before it; until then
both are usable, because the client may have lost the response with the new one. It also ends the access tokens and the
opaque token from before: the tokens of the new chain are of a higher generation.

A token that another system issued begins a chain, too: it is exchanged for a pair of ours, as a refresh token is.
"""

import hmac
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import NO_CONTEXT, ClientContext
from auth_service.sessions.model import NewSession, hash_token
from auth_service.sessions.token_digests import TokenDigests, TokenHashes
from auth_service.tokens.access_tokens import LIFETIME, AccessTokens
from shared.encoding import to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Granted

ACTION: Final = "refresh_token"
"""What refresh tokens do, as the audit log names it: granted, used, repeated, reused, refused."""
REFRESHES = Counter("haoma_refreshes_total", "Uses of refresh tokens, by outcome", ["outcome"])
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """The stored record of a token. A used token has the ``salt`` of its successor.

    ``used_long_ago`` means that it was used, and replaced, more than 30 seconds ago.
    """

    salt: bytes | None = field(repr=False)
    used_long_ago: bool


class LockedFamily(Protocol):
    """The tokens of one session, while no other request can change them.

    ``token_hash`` is of the token that came, and ``generation`` that of its chain.
    """

    token_hash: bytes
    generation: int
    session_id: UUID
    user_id: int

    async def find(self, token_hash: bytes) -> TokenRecord | None:
        """The record of this token."""

    async def replace(self, token_hash: bytes, salt: bytes, successor_hash: bytes) -> None:
        """Replace the usable token by its successor. The first token of a chain also ends the chains before it.

        The session accepts no token of a lower generation from then on. It expires 30 days from now, and its user
        counts as seen today.
        """

    async def record(self, outcome: str) -> None:
        """Write an outcome that changed nothing into the audit log: ``repeated`` or ``refused``."""

    async def end_session(self) -> None:
        """End the session because a token was used again after its successor, and publish that."""


class RefreshTokenRepository(Protocol):
    """The refresh tokens of all sessions."""

    async def add_first(self, session_token_hash: bytes, token_hash: bytes) -> tuple[UUID, int] | None:
        """Add a session's first token. Returns the session and its user; None if the session has ended."""

    def locked_family(
        self, token_hashes: TokenHashes, network: str
    ) -> AbstractAsyncContextManager[LockedFamily | None]:
        """Lock the tokens of the session of a token that may be stored by one of these hashes.

        Leaving the block commits.
        ``network`` is where the token came from, for the audit log.
        None when the token is unknown, or its session has ended or its account is banned.
        """


class RefreshTokens:
    """Grants the first pair of tokens of a session, and refreshes pairs."""

    def __init__(
        self,
        repository: RefreshTokenRepository,
        *,
        access_tokens: AccessTokens,
        digests: TokenDigests,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._repository = repository
        self._access_tokens = access_tokens
        self._digests = digests
        self._audit = audit
        self._clock = clock

    async def grant(self, session_token: str) -> Granted:
        """The first tokens of a new session. Raises ``UNAUTHENTICATED``."""
        token = secrets.token_urlsafe(32)
        session = await self._repository.add_first(hash_token(session_token), hash_token(token))
        if session is None:
            await self._audit.record_unproven(AuditEntry(f"{ACTION}.refused", None, NO_CONTEXT, detail="grant"))
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        session_id, user_id = session
        return self._pair(user_id, session_id, token, generation=0)

    def first_of(self, session: NewSession) -> tuple[Granted, bytes]:
        """The first tokens of a session that is about to be written, and the hash to write with it."""
        token = secrets.token_urlsafe(32)
        return self._pair(session.user_id, session.session_id, token, generation=0), hash_token(token)

    def new_chain(self, user_id: int, session_id: UUID, generation: int) -> Granted:
        """Tokens that begin a new chain in a session, once ``refresh_token_store.add_chain`` has stored the first."""
        return self._pair(user_id, session_id, secrets.token_urlsafe(32), generation=generation)

    async def refresh(self, token: str, network: str) -> Granted:
        """The next tokens. Raises ``UNAUTHENTICATED``, also when this very request ends the session.

        ``network`` is where the token came from; it may be empty.
        """
        async with self._repository.locked_family(self._digests.of(token), network) as family:
            usable = await self._usable_token(family, token) if family else None
        if family is None:
            REFRESHES.labels("refused").inc()
            context = ClientContext(dialect="", client="", network=network)
            await self._audit.record_unproven(AuditEntry(f"{ACTION}.refused", None, context))
        if family is None or usable is None:  # raised after the block, so that the end of the session is committed
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        return self._pair(family.user_id, family.session_id, usable, generation=family.generation)

    async def _usable_token(self, family: LockedFamily, token: str) -> str | None:
        """A new successor of the usable token, or the usable token that follows a used one."""
        record = await family.find(family.token_hash)
        if record is None:
            await self._refuse(family)
            return None
        if record.salt is not None:
            return await self._token_after(family, _successor(token, record.salt))
        salt = secrets.token_bytes(32)
        successor = _successor(token, salt)
        await family.replace(family.token_hash, salt, hash_token(successor))
        REFRESHES.labels("succeeded").inc()
        return successor

    async def _token_after(self, family: LockedFamily, successor: str) -> str | None:
        """The usable token of the chain. None, and the session ends, if the successor was used long ago."""
        record = await family.find(hash_token(successor))
        if record is None or not record.used_long_ago:
            return await self._last_of_chain(family, successor, record)
        await family.end_session()
        ids = {"user_id": family.user_id, "session_id": str(family.session_id)}
        REFRESHES.labels("reused").inc()
        log.warning("session.revoked", **ids, cause="refresh_reuse")
        return None

    async def _last_of_chain(self, family: LockedFamily, token: str, record: TokenRecord | None) -> str | None:
        """Follow the chain from this token to the usable one. None if a token of the chain is missing."""
        while record is not None and record.salt is not None:
            token = _successor(token, record.salt)
            record = await family.find(hash_token(token))
        if record is None:
            await self._refuse(family)
            return None
        await family.record("repeated")
        REFRESHES.labels("repeated").inc()
        return token

    async def _refuse(self, family: LockedFamily) -> None:
        await family.record("refused")
        REFRESHES.labels("refused").inc()

    def _pair(self, user_id: int, session_id: UUID, refresh_token: str, *, generation: int) -> Granted:
        access_token = self._access_tokens.sign(user_id, session_id, now=self._clock(), generation=generation)
        return Granted(access_token=access_token, expires_in=int(LIFETIME.total_seconds()), refresh_token=refresh_token)


def _successor(token: str, salt: bytes) -> str:
    return to_base64url(hmac.digest(salt, token.encode(), "sha256"))
