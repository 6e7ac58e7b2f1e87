"""The audit log: one row for each decision about who someone is, and what changed because of it (decision 59)."""

from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from auth_service.client_context import ClientContext
from shared.audit.chain import AuditTable

ERASED: Final = "erase.succeeded"
"""The action of the row that an erasure adds. Its detail is how many rows of the account were emptied."""
IMPORTED: Final = "account.imported"
"""The action of the row of an account that was imported from another system."""
RESTORED: Final = "account.restored"
"""The action of the row of a retired account that an operator gave a number again."""
NUMBER_GAINED: Final = ("register.succeeded", "change_phone.succeeded", IMPORTED, RESTORED)
"""The actions of the rows that every statement writes which gives a number to an account."""
BACKUP_RESTORED: Final = "backup.restored"
"""The action of the row of the command that follows the restore of a backup."""
EXPORTED: Final = "accounts.exported"
"""The action of the row of an export of all accounts. Its detail is how many."""
SESSION_IMPORTED: Final = "session.imported"
"""The action of the row of a session whose token another system issued."""
SESSION_ENDED: Final = "session.ended"
"""The action of the row of each session that ended before it expired. Its detail is the cause."""
SAMPLED: Final = (".limited", ".code_refused")
"""How actions end that a caller can cause without end: refusals by a limit, and tickets that prove nothing."""

AUDIT_LOG: Final = AuditTable(
    name="audit_log",
    chain="auth",
    lasting=("at", "action", "client", "dialect", "detail", "actor"),
    erasable=("user_id", "phone_ref", "session_id", "network", "reason", "salt"),
    action="action",
    erasure=ERASED,
)
"""What the seals of the audit log cover."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The person who uses an operator's command, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A decision and its outcome, as in ``log_in_with_password.refused``. It holds no number, address or secret.

    ``detail`` is a word of ours, such as an error code, and stays when the account is erased.
    """

    action: str
    phone_ref: int | None
    context: ClientContext
    user_id: int | None = None
    session_id: UUID | None = None
    detail: str = ""
    operator: Operator | None = None


class AuditLog(Protocol):
    """The log, for refusals: successes are written in the transaction of the change that they report."""

    async def record(self, entry: AuditEntry) -> None:
        """Write one entry in a transaction of its own: of a ``SAMPLED`` action not more than a few a minute."""

    async def record_unproven(self, entry: AuditEntry) -> None:
        """Write an entry about a ticket or token that proves nothing. Anyone can send those: so many a minute."""
