"""What an operator decides about the number of an account: that its owner is there, that it is free, whose it is."""

from typing import Protocol

import structlog

from auth_service.accounts.user_ids import USER_IDS
from auth_service.retirement.model import ConflictError
from shared.errors import ErrorCode, ServiceError
from shared.phone import E164

log = structlog.get_logger()


class RetirementRepository(Protocol):
    """Where accounts get and lose their number. Each call is one transaction, with its audit entry and its events."""

    async def confirm(self, number: E164) -> int | None:
        """The user of the number counts as seen now. Returns their id; None without an account, or if it is banned."""

    async def release(self, number: E164) -> int | None:
        """Retire the account of the number. Returns its user; None if there is none. Raises ``ConflictError``."""

    async def restore(self, user_id: int, number: E164) -> bool:
        """Give a retired account this number. False if there is none. Raises ``ConflictError`` for a taken number."""


class Retirement:
    """The rules of the operator's commands."""

    def __init__(self, repository: RetirementRepository) -> None:
        self._repository = repository

    async def confirm(self, number: E164) -> int:
        """The operator knows the owner of a dormant account: codes let them in again. Raises ``NO_ACCOUNT``."""
        user_id = await self._repository.confirm(number)
        if user_id is None:
            raise ServiceError(ErrorCode.NO_ACCOUNT)
        log.info("account.confirmed", user_id=user_id)
        return user_id

    async def release(self, number: E164) -> int:
        """Take the number from its account, which keeps its id. Raises ``NO_ACCOUNT``, ``UNAVAILABLE`` (try again)."""
        try:
            user_id = await self._repository.release(number)
        except ConflictError:  # its user logged in between the two statements
            raise ServiceError(ErrorCode.UNAVAILABLE) from None
        if user_id is None:
            raise ServiceError(ErrorCode.NO_ACCOUNT)
        log.info("account.retired", user_id=user_id)
        return user_id

    async def restore(self, user_id: int, number: E164) -> None:
        """Give a retired account a free number. Raises ``NOT_FOUND``, ``NUMBER_TAKEN``."""
        if user_id not in USER_IDS:
            raise ServiceError(ErrorCode.NOT_FOUND)
        try:
            restored = await self._repository.restore(user_id, number)
        except ConflictError:
            raise ServiceError(ErrorCode.NUMBER_TAKEN) from None
        if not restored:
            raise ServiceError(ErrorCode.NOT_FOUND)
        log.info("account.restored", user_id=user_id)
