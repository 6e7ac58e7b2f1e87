"""The sessions of one user: list them, end one, end all others."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import structlog

from auth_service.changes.model import ChangeLimits
from auth_service.client_context import ClientContexts
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import EndOthers, EndSession, LivingSession

log = structlog.get_logger()


class UserSessionRepository(Protocol):
    """The sessions of all users."""

    async def list(self, user_id: int) -> Sequence[LivingSession]:
        """The sessions of the user that have not expired, newest first."""

    async def end(self, user_id: int, session_id: UUID) -> bool:
        """End one session of the user. False if there is none."""

    async def end_others(self, user_id: int, kept: UUID, network: int | None) -> int:
        """End all sessions of the user but one, and every ticket. Returns how many sessions ended.

        If this network is known, every other one is forgotten: that of an intruder would stay known for months.
        """


class UserSessions:
    """The rules. The gateway has resolved the caller's session, so ``user_id`` is the caller.

    Each session has limits of its own on ending others: a stolen one cannot use up those of its owner, and cannot end
    each session that its owner opens.
    """

    def __init__(
        self, repository: UserSessionRepository, contexts: ClientContexts, change_limits: ChangeLimits
    ) -> None:
        self._repository = repository
        self._contexts = contexts
        self._change_limits = change_limits

    async def list(self, user_id: int) -> Sequence[LivingSession]:
        """The user's sessions, newest first."""
        return await self._repository.list(user_id)

    async def end(self, request: EndSession) -> None:
        """End one session. Raises ``NOT_FOUND`` when there is none, or it belongs to another user.

        ``caller_id`` is the session that asks for it. Raises ``CALLER_LIMIT`` too, but not when a session ends itself.
        """
        user_id, session_id = request.user_id, request.session_id
        if request.caller_id not in (None, session_id):
            await self._change_limits.charge(user_id, "end_session", session_id=request.caller_id)
        if not await self._repository.end(user_id, session_id):
            raise ServiceError(ErrorCode.NOT_FOUND)
        log.info("session.revoked", user_id=user_id, session_id=str(session_id), cause="ended_by_user")

    async def end_others(self, request: EndOthers) -> None:
        """End every session of the user but one, and every ticket. Raises ``CALLER_LIMIT``.

        From a network that is known to the number, every other one is forgotten. From elsewhere none is: a session may
        be stolen, and the owner of the number must not become a stranger to it.
        """
        user_id, kept = request.user_id, request.session_id
        await self._change_limits.charge(user_id, "end_others", session_id=kept)
        ended = await self._repository.end_others(user_id, kept, self._contexts.user_network(request.source))
        log.info("sessions.revoked", user_id=user_id, kept=str(kept), ended=ended, cause="ended_by_user")
