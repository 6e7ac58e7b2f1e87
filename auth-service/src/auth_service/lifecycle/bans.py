"""Bans: an operator bans an account, which ends its sessions and refuses its log-ins, or lifts the ban."""

from collections.abc import Callable, Sequence
from datetime import datetime
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
ENDED: Final = "ended"
"""The detail of the audit entry of a ban that ended by itself."""
BATCH = 100
INTERVAL_SECONDS = 10.0
"""How often bans are looked for whose end is over."""

MakeEntry = Callable[[StoredAccount], AuditEntry]
MakeMessages = Callable[[StoredAccount, Sequence[EndedSession]], Sequence[OutboxMessage]]
log = structlog.get_logger()


class BanRepository(Protocol):
    """Where accounts are banned."""

    async def exists(self, user_id: int) -> bool:
        """Whether there is an account of this id."""

    async def ban(
        self, user_id: int, until: datetime | None, make_entry: MakeEntry, make_messages: MakeMessages
    ) -> bool:
        """Ban the account and end its sessions, with its audit entry and messages.

        False, and nothing written, when it is banned until then already.
        """

    async def unban(
        self, user_id: int, make_entry: MakeEntry, make_messages: MakeMessages, *, only_if_ended: bool
    ) -> bool:
        """Lift the ban, with its audit entry and messages; ``only_if_ended`` leaves a ban whose end is not over.

        False, and nothing written, when there is no such ban.
        """

    async def ended_bans(self, limit: int) -> Sequence[int]:
        """The users whose ban has an end that is over, at most ``limit``."""


class Bans:
    """The rules of banning. A repeat changes nothing."""

    def __init__(self, repository: BanRepository, phones: PhoneKeys) -> None:
        self._repository = repository
        self._phones = phones

    async def ban(self, user_id: int, operator: Operator, until: datetime | None = None) -> bool:
        """End every session and refuse new ones, for good or ``until`` a time. A ban's end can be changed so.

        False when banned until then already. Raises ``NOT_FOUND``.
        """
        await self._require(user_id)
        make_entry = self._make_entry("account.banned", operator, until.isoformat() if until else "")
        changed = await self._repository.ban(user_id, until, make_entry, self._messages)
        return _logged("account.banned", user_id, operator.name, changed=changed)

    async def unban(self, user_id: int, operator: Operator) -> bool:
        """Let the user log in again. False when not banned. Raises ``NOT_FOUND``."""
        await self._require(user_id)
        make_entry = self._make_entry("account.unbanned", operator)
        changed = await self._repository.unban(user_id, make_entry, self._messages, only_if_ended=False)
        return _logged("account.unbanned", user_id, operator.name, changed=changed)

    async def lift_ended(self) -> None:
        """Lift each ban whose end is over. Any number of processes may do it at the same time."""
        make_entry = self._make_entry("account.unbanned", None, ENDED)
        for user_id in await self._repository.ended_bans(BATCH):
            changed = await self._repository.unban(user_id, make_entry, self._messages, only_if_ended=True)
            _logged("account.unbanned", user_id, "", changed=changed)

    async def _require(self, user_id: int) -> None:
        if user_id not in USER_IDS or not await self._repository.exists(user_id):
            raise ServiceError(ErrorCode.NOT_FOUND)

    def _make_entry(self, action: str, operator: Operator | None, detail: str = "") -> MakeEntry:
        def make_entry(stored: StoredAccount) -> AuditEntry:
            phone_ref = self._phones.ref(E164(stored.account.phone))
            return AuditEntry(action, phone_ref, OPERATOR, stored.user_id, detail=detail, operator=operator)

        return make_entry

    def _messages(self, stored: StoredAccount, ended: Sequence[EndedSession]) -> Sequence[OutboxMessage]:
        ban = ban_imposed(stored.account, len(ended)) if stored.is_banned else ban_lifted(stored.account)
        return [user_updated(stored, self._phones), ban, *(session_revoked(session, CAUSE) for session in ended)]


def _logged(action: str, user_id: int, operator: str, *, changed: bool) -> bool:
    if changed:
        log.info(action, user_id=user_id, operator=operator)
    return changed
