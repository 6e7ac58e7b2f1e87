"""Finds spent tickets at auth-service."""

from collections.abc import Sequence
from uuid import UUID

from shared.internal_api.auth import FIND_SPENT, FindSpent, SpentTickets
from shared.internal_api.client import InternalClient


class AuthTickets:
    """``explain.TicketRepository`` over the internal API."""

    def __init__(self, auth: InternalClient) -> None:
        self._auth = auth

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets:
        """The spent tickets of some verifications. Raises ``ServiceError`` if auth-service does not answer."""
        return await self._auth.call(FIND_SPENT, FindSpent(verification_ids=list(verification_ids)))
