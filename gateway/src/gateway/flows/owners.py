"""What a user does with his own account: profile, password, sessions, number, and its end."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.flows.grants import SHORTEST_PASSWORD
from gateway.flows.services import Caller, Services
from gateway.passwords import Password
from shared.internal_api.auth import (
    Account,
    ChangePassword,
    ChangePhone,
    ChangeProfile,
    EndOthers,
    EndSession,
    Erase,
    ListSessions,
    LivingSession,
    Resolved,
)
from shared.phone import E164


class OwnerFlows:
    """Each of them asks for a session that was resolved, so the caller is who he says."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def change_profile(self, session: Resolved, changes: Mapping[str, Any]) -> Account:
        """Change what is given; the rest stays."""
        user_id = session.account.user_id
        changed = await self._services.auth.change_profile(ChangeProfile(user_id=user_id, **changes))
        self._services.sessions.forget_user(user_id)
        return changed

    async def change_password(self, caller: Caller, session: Resolved, current: Password, new: Password) -> None:
        """Replace the password; this session stays, the others end. Raises ``CREDENTIALS_REFUSED``."""
        account = session.account
        await self._services.auth.change_password(
            ChangePassword(
                user_id=account.user_id,
                session_id=session.session_id,
                phone=account.phone,
                current=current.secret,
                secret=new.accepted_for(E164(account.phone), shortest=SHORTEST_PASSWORD),
                address=caller.address,
                dialect=caller.dialect,
                client=caller.client,
            )
        )
        self._services.sessions.forget_user(account.user_id)

    async def change_number_with_tickets(
        self, caller: Caller, session: Resolved, *, old_ticket: str, new_ticket: str
    ) -> Account:
        """Give the user another number, proven by a ticket for each; sessions stay. A repeat succeeds again."""
        user_id = session.account.user_id
        changed = await self._services.auth.change_phone(
            ChangePhone(
                user_id=user_id,
                session_id=session.session_id,
                old_ticket=old_ticket,
                new_ticket=new_ticket,
                dialect=caller.dialect,
                client=caller.client,
            )
        )
        self._services.sessions.forget_user(user_id)
        return changed

    async def erase(self, caller: Caller, session: Resolved) -> None:
        """Erase the account. Its number is free again at once."""
        user_id = session.account.user_id
        await self._services.auth.erase(Erase(user_id=user_id, dialect=caller.dialect, client=caller.client))
        self._services.sessions.forget_user(user_id)

    async def sessions(self, session: Resolved) -> Sequence[LivingSession]:
        """The user's living sessions, newest first."""
        return (await self._services.auth.list_sessions(ListSessions(user_id=session.account.user_id))).sessions

    async def end_session(self, session: Resolved, session_id: UUID) -> None:
        """End one of the user's sessions, this one too. Raises ``NOT_FOUND``."""
        user_id = session.account.user_id
        await self._services.auth.end_session(EndSession(user_id=user_id, session_id=session_id))
        self._services.sessions.forget_user(user_id)

    async def end_other_sessions(self, session: Resolved) -> None:
        """End all of the user's sessions but this one."""
        user_id = session.account.user_id
        await self._services.auth.end_others(EndOthers(user_id=user_id, session_id=session.session_id))
        self._services.sessions.forget_user(user_id)
