"""Bans: an operator shuts an account, its sessions end, and everybody is told; or opens it again."""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from auth_service.accounts import events
from auth_service.accounts.model import AuditEntry, ClientContext, EndedSession, StoredAccount
from auth_service.lifecycle.registration import BEYOND_IDS, LOWEST_ID
from shared.errors import ErrorCode, ServiceError
from shared.events import OutboxMessage
from shared.internal_api.auth import Account
from shared.phone import E164, PhoneKeys

OPERATOR = ClientContext(dialect="", client="operator")
CAUSE = "ban"

Note = Callable[[StoredAccount], AuditEntry]
Tell = Callable[[StoredAccount, Sequence[EndedSession]], Sequence[OutboxMessage]]
log = structlog.get_logger()


class BanRepository(Protocol):
    """Where accounts are shut and opened."""

    async def find(self, user_id: int) -> Account | None:
        """The account of this id."""

    async def set_banned(self, user_id: int, *, banned: bool, note: Note, tell: Tell) -> StoredAccount | None:
        """Shut or open the account, end its sessions, write what is noted and told; ``None`` when it was so already."""


class Bans:
    """The rules of banning. Doing it twice changes nothing the second time."""

    def __init__(self, repository: BanRepository, phones: PhoneKeys) -> None:
        self._repository = repository
        self._phones = phones

    async def ban(self, user_id: int) -> bool:
        """End every session and refuse new ones. False when banned already. Raises ``NOT_FOUND``."""
        return await self._set(user_id, banned=True)

    async def unban(self, user_id: int) -> bool:
        """Let the user log in again. False when not banned. Raises ``NOT_FOUND``."""
        return await self._set(user_id, banned=False)

    async def _set(self, user_id: int, *, banned: bool) -> bool:
        if not LOWEST_ID <= user_id < BEYOND_IDS or await self._repository.find(user_id) is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        action = "account.banned" if banned else "account.unbanned"

        def record(user: StoredAccount) -> AuditEntry:
            return AuditEntry(action, self._phones.ref(E164(user.account.phone)), OPERATOR, user_id)

        changed = await self._repository.set_banned(user_id, banned=banned, note=record, tell=self._tell) is not None
        if changed:
            log.info(action, user_id=user_id)
        return changed

    def _tell(self, user: StoredAccount, ended: Sequence[EndedSession]) -> Sequence[OutboxMessage]:
        return [events.updated(user, self._phones), *(events.session_revoked(session, CAUSE) for session in ended)]
