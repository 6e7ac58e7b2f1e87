"""What counts the changes of an account. Each kind of change has a count of its own, so none uses up another's."""

from typing import Protocol
from uuid import UUID


class ChangeLimits(Protocol):
    """How often each user may make each kind of change."""

    async def charge(self, user_id: int, change: str, *, weight: int = 1, session_id: UUID | None = None) -> None:
        """Count one change, or a call that is as much as ``weight`` changes, of all sessions or of this one alone.

        Raises ``CALLER_LIMIT`` with the seconds to wait, and then counts nothing.
        """
