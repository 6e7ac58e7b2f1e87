"""Bans: an operator bans an account, which ends its sessions and refuses its log-ins, or lifts the ban."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from auth_service.accounts.events import ban_imposed, ban_lifted, user_updated
from auth_service.accounts.model import StoredAccount
from auth_service.accounts.user_ids import USER_IDS
from auth_service.audit import AuditEntry, Operator
from auth_service.client_context import OPERATOR
from auth_service.sessions.events import session_revoked
from auth_service.sessions.model import EndedSession
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import OutboxMessage
from shared.phone import E164, PhoneKeys

CAUSE: Final = "ban"

MakeEntry = Callable[[StoredAccount], AuditEntry]
MakeMessages = Callable[[StoredAccount, Sequence[EndedSession]], Sequence[OutboxMessage]]
log = structlog.get_logger()


class BanRepository(Protocol):
    """Where accounts are banned."""

    async def exists(self, user_id: int) -> bool:
        """Whether there is an account of this id."""

    async def set_banned(
        self, user_id: int, *, banned: bool, make_entry: MakeEntry, make_messages: MakeMessages
    ) -> bool:
        """Ban the account and end its sessions, or lift the ban, with its audit entry and messages.

        False, and nothing written, when that is its state already.
        """


class Bans:
    """The rules of banning. A repeat changes nothing."""

    def __init__(self, repository: BanRepository, phones: PhoneKeys) -> None:
        self._repository = repository
        self._phones = phones

    async def ban(self, user_id: int, operator: Operator) -> bool:
        """End every session and refuse new ones. False when already banned. Raises ``NOT_FOUND``."""
        return await self._set_banned(user_id, operator, banned=True)

    async def unban(self, user_id: int, operator: Operator) -> bool:
        """Let the user log in again. False when not banned. Raises ``NOT_FOUND``."""
        return await self._set_banned(user_id, operator, banned=False)

    async def _set_banned(self, user_id: int, operator: Operator, *, banned: bool) -> bool:
        if user_id not in USER_IDS or not await self._repository.exists(user_id):
            raise ServiceError(ErrorCode.NOT_FOUND)
        action = "account.banned" if banned else "account.unbanned"

        def make_entry(stored: StoredAccount) -> AuditEntry:
            phone_ref = self._phones.ref(E164(stored.account.phone))
            return AuditEntry(action, phone_ref, OPERATOR, user_id, operator=operator)

        changed = await self._repository.set_banned(
            user_id, banned=banned, make_entry=make_entry, make_messages=self._messages
        )
        if changed:
            log.info(action, user_id=user_id, operator=operator.name)
        return changed

    def _messages(self, stored: StoredAccount, ended: Sequence[EndedSession]) -> Sequence[OutboxMessage]:
        ban = ban_imposed(stored.account, len(ended)) if stored.is_banned else ban_lifted(stored.account)
        return [user_updated(stored, self._phones), ban, *(session_revoked(session, CAUSE) for session in ended)]
