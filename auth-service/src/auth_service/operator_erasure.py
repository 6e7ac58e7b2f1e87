"""Erasure by an operator, of a banned account too."""

from typing import Protocol

import structlog

from auth_service.accounts.user_ids import USER_IDS
from auth_service.audit import ERASED, AuditEntry, Operator
from auth_service.lifecycle.bans import OPERATOR_CLIENT
from shared.errors import ErrorCode, ServiceError

log = structlog.get_logger()


class ErasureRepository(Protocol):
    """Where accounts are erased."""

    async def erase(self, user_id: int, entry: AuditEntry, *, banned_too: bool = False) -> bool:
        """Delete the account with all that belongs to it; False when there is none."""


class OperatorErasure:
    """The rules. The audit log keeps who erased an account and why, and not whose it was."""

    def __init__(self, repository: ErasureRepository) -> None:
        self._repository = repository

    async def erase(self, user_id: int, operator: Operator) -> None:
        """Erase the account. Raises ``NOT_FOUND``."""
        entry = AuditEntry(ERASED, None, OPERATOR_CLIENT, operator=operator)
        if user_id not in USER_IDS or not await self._repository.erase(user_id, entry, banned_too=True):
            raise ServiceError(ErrorCode.NOT_FOUND)
        log.info("account.erased", user_id=user_id, operator=operator.name)
