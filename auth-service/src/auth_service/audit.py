"""The audit log: one entry for each attempt to log in, to redeem a ticket or to change an account, and for each ban."""

from dataclasses import dataclass
from typing import Protocol

from auth_service.client_context import ClientContext


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An attempt and its outcome, as in ``log_in_with_password.refused``. It holds no number, address or secret."""

    action: str
    phone_ref: int | None
    context: ClientContext
    user_id: int | None = None


class AuditLog(Protocol):
    """The log, for refusals: successes are written in the transaction of the change that they report."""

    async def record(self, entry: AuditEntry) -> None:
        """Write one entry in a transaction of its own."""
