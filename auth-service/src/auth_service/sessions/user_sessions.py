"""The sessions of one user: list them, end one, end all others."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import structlog

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LivingSession

log = structlog.get_logger()


class UserSessionRepository(Protocol):
    """The sessions of all users."""

    async def list(self, user_id: int) -> Sequence[LivingSession]:
        """The sessions of the user that have not expired, newest first."""

    async def end(self, user_id: int, *, only: UUID | None = None, but: UUID | None = None) -> int:
        """End the user's sessions: one of them, or all but one, and then every ticket too. Returns how many ended."""


class UserSessions:
    """The rules. The gateway has resolved the caller's session, so ``user_id`` is the caller."""

    def __init__(self, repository: UserSessionRepository) -> None:
        self._repository = repository

    async def list(self, user_id: int) -> Sequence[LivingSession]:
        """The user's sessions, newest first."""
        return await self._repository.list(user_id)

    async def end(self, user_id: int, session_id: UUID) -> None:
        """End one session. Raises ``NOT_FOUND`` when there is none, or it belongs to another user."""
        if not await self._repository.end(user_id, only=session_id):
            raise ServiceError(ErrorCode.NOT_FOUND)
        log.info("session.revoked", user_id=user_id, session_id=str(session_id), cause="ended_by_user")

    async def end_others(self, user_id: int, session_id: UUID) -> None:
        """End every session of the user but one, and every ticket."""
        ended = await self._repository.end(user_id, but=session_id)
        log.info("sessions.revoked", user_id=user_id, kept=str(session_id), ended=ended, cause="ended_by_user")
