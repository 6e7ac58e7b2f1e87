"""Accounts for operators: found in four ways, shown with or without the number, and changed with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from auth_service.audit import ERASED, AuditEntry, Operator
from auth_service.client_context import OPERATOR
from auth_service.erasure.erasure_store import ErasureStore
from auth_service.lifecycle.bans import Bans
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LivingSession
from shared.internal_api.operators.accounts import (
    AccountChanged,
    AccountRequest,
    BanAccount,
    EndAccountSessions,
    EraseAccount,
    ExportAccount,
    ExportedAccount,
    FindAccount,
    FoundAccount,
    UnbanAccount,
)
from shared.phone import E164, hide_numbers, mask

log = structlog.get_logger()


@dataclass(frozen=True)
class AccountView:
    """An account with its number in clear, and its sessions."""

    account: FoundAccount
    sessions: Sequence[LivingSession]

    def shown(self, *, with_number: bool) -> FoundAccount:
        """The account with its number in clear, or masked everywhere."""
        if with_number:
            return self.account.model_copy(update={"sessions": list(self.sessions)})
        account = self.account
        return account.model_copy(
            update={
                "phone": mask(E164(account.phone)) if account.phone else None,
                "name": hide_numbers(account.name) if account.name else None,
                "nickname": hide_numbers(account.nickname),
                "client": hide_numbers(account.client),
                "sessions": [_without_number(session) for session in self.sessions],
            }
        )


class AccountRepository(Protocol):
    """The accounts of all users."""

    async def find(self, request: AccountRequest) -> AccountView | None:
        """The account that the request names."""

    async def end_sessions(self, user_id: int, request: EndAccountSessions) -> int:
        """End the sessions of a user, or the one that the request names, with an audit row each. Returns how many."""

    async def export(self, user_id: int) -> ExportedAccount | None:
        """What is stored about a user, whether they have a number or not."""


class OperatorAccounts:
    """What operators may do. Each call raises ``NOT_FOUND`` if no account is named so."""

    def __init__(self, repository: AccountRepository, bans: Bans, erasures: ErasureStore) -> None:
        self._repository = repository
        self._bans = bans
        self._erasures = erasures

    async def find(self, request: FindAccount) -> FoundAccount:
        """The account as the operator may see it."""
        return (await self._view(request)).shown(with_number=request.sees_numbers)

    async def ban(self, request: BanAccount) -> AccountChanged:
        """Ban the account, for good or until a time."""
        view = await self._view(request)
        changed = await self._bans.ban(view.account.user_id, _operator(request), request.until)
        ended = len(view.sessions) if changed else 0
        return AccountChanged(user_id=view.account.user_id, changed=changed, sessions_ended=ended)

    async def unban(self, request: UnbanAccount) -> AccountChanged:
        """Lift the ban."""
        user_id = (await self._view(request)).account.user_id
        return AccountChanged(user_id=user_id, changed=await self._bans.unban(user_id, _operator(request)))

    async def end_sessions(self, request: EndAccountSessions) -> AccountChanged:
        """End the account's sessions, or the one that names it."""
        user_id = (await self._view(request)).account.user_id
        ended = await self._repository.end_sessions(user_id, request)
        log.info("sessions.revoked", user_id=user_id, ended=ended, cause="ended_by_operator", operator=request.operator)
        return AccountChanged(user_id=user_id, changed=ended > 0, sessions_ended=ended)

    async def erase(self, request: EraseAccount) -> AccountChanged:
        """Erase the account. The audit log keeps who erased one and why, and not whose it was."""
        view = await self._view(request)
        entry = AuditEntry(ERASED, None, OPERATOR, operator=_operator(request))
        if not await self._erasures.erase_any(view.account.user_id, entry):
            raise ServiceError(ErrorCode.NOT_FOUND)
        log.info("account.erased", user_id=view.account.user_id, operator=request.operator)
        return AccountChanged(user_id=view.account.user_id, changed=True, sessions_ended=len(view.sessions))

    async def export(self, request: ExportAccount) -> ExportedAccount:
        """What is stored about the account."""
        exported = await self._repository.export((await self._view(request)).account.user_id)
        if exported is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        return exported

    async def _view(self, request: AccountRequest) -> AccountView:
        view = await self._repository.find(request)
        if view is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        return view


def _operator(request: AccountRequest) -> Operator:
    return Operator(request.operator, request.reason)


def _without_number(session: LivingSession) -> LivingSession:
    return session.model_copy(update={"client": hide_numbers(session.client)})
