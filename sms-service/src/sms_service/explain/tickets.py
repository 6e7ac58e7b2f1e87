"""auth-service as the one who knows what became of tickets."""

from collections.abc import Sequence
from uuid import UUID

from shared.internal_api.auth import FIND_SPENT, FindSpent, SpentTickets
from shared.internal_api.client import InternalClient


class AuthTickets:
    """``explain.Tickets``, asked over HTTP."""

    def __init__(self, auth: InternalClient) -> None:
        self._auth = auth

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets:
        """Those that were spent. Raises ``ServiceError`` when auth-service does not answer."""
        return await self._auth.call(FIND_SPENT, FindSpent(verification_ids=list(verification_ids)))
