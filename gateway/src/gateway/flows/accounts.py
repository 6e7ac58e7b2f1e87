"""Accounts: opening one, a new password, another number."""

from gateway.flows.services import Caller, Services
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    Account,
    ChangePhone,
    FindChange,
    LoggedIn,
    Register,
    ResetPassword,
    Resolved,
)
from shared.internal_api.sms import CheckCode, Purpose
from shared.phone import E164


class AccountFlows:
    """What can be done about an account with a code."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def register(self, caller: Caller, number: E164, password: Password, ticket: str) -> LoggedIn:
        """Open an account for a verified number. Repeating it with the same values succeeds again."""
        return await self._open(caller, number, password.accepted_for(number), ticket)

    async def register_with_code(
        self, caller: Caller, number: E164, password: Password, code: str, *, name: str | None = None
    ) -> LoggedIn:
        """Verify the number and open an account in one call. Repeating it with the same values succeeds again."""
        secret = password.accepted_for(number)
        ticket = await self._services.ticket(caller, number, Purpose.SIGN_UP, code)
        return await self._open(caller, number, secret, ticket, name)

    async def reset_password(self, caller: Caller, number: E164, password: Password, code: str) -> LoggedIn:
        """Spend a reset code on a new password; every earlier session of the user ends."""
        secret = password.accepted_for(number)
        try:
            ticket = await self._services.ticket(caller, number, Purpose.RESET_PASSWORD, code)
        except ServiceError as refused:
            if refused.code is ErrorCode.CODE_REFUSED:
                await self._explain_refused_reset(caller, number)
            raise
        call = ResetPassword(ticket=ticket, phone=number, secret=secret, dialect=caller.dialect, client=caller.client)
        opened = await self._services.auth.reset_password(call)
        self._services.sessions.remember(opened)
        return opened

    async def change_number(
        self, caller: Caller, session: Resolved, number: E164, code: str, *, old_code: str
    ) -> Account:
        """Give a user another number, proven by a code to each; sessions stay. A repeat succeeds again."""
        account = session.account
        new_ticket = await self._services.ticket(caller, number, Purpose.CHANGE_PHONE, code)
        if account.phone == number:
            old_ticket = await self._old_ticket(caller, account.user_id, new_ticket, old_code)
        else:
            old_number = E164(account.phone)
            old_ticket = await self._services.ticket(caller, old_number, Purpose.CHANGE_PHONE, old_code)
        changed = await self._services.auth.change_phone(
            ChangePhone(
                user_id=account.user_id,
                session_id=session.session_id,
                old_ticket=old_ticket,
                new_ticket=new_ticket,
                dialect=caller.dialect,
                client=caller.client,
            )
        )
        self._services.sessions.forget_user(account.user_id)
        return changed

    async def _old_ticket(self, caller: Caller, user_id: int, new_ticket: str, old_code: str) -> str:
        """The old number's ticket when the number is changed already: only its verification is still known."""
        found = await self._services.auth.find_change(FindChange(user_id=user_id, new_ticket=new_ticket))
        if found.old_verification_id is None:
            raise ServiceError(ErrorCode.NUMBER_TAKEN)
        call = CheckCode(
            purpose=Purpose.CHANGE_PHONE,
            code=old_code,
            verification_id=found.old_verification_id,
            dialect=caller.dialect,
            address=caller.address,
        )
        return (await self._services.sms.check(call)).ticket

    async def _open(self, caller: Caller, number: E164, secret: str, ticket: str, name: str | None = None) -> LoggedIn:
        opened = await self._services.auth.register(
            Register(
                ticket=ticket, phone=number, secret=secret, name=name, dialect=caller.dialect, client=caller.client
            )
        )
        self._services.sessions.remember(opened)
        return opened

    async def _explain_refused_reset(self, caller: Caller, number: E164) -> None:
        """Say that the number has no account, where that is why; within the caller's budget for such answers.

        The budget is spent for numbers with an account too, or its end would tell the two apart.
        """
        registered = await self._services.registered(number)
        refuse = ErrorCode.CODE_REFUSED if registered else ErrorCode.NO_ACCOUNT
        await self._services.look_for_code(caller, number, refuse)
