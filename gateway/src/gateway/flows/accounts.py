"""Registration and password reset in contracts that open a session with one opaque token."""

from gateway.flows.codes import CodeFlows
from gateway.flows.services import Caller, Services
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import REGISTER, RESET_PASSWORD, LoggedIn, Register, ResetPassword
from shared.internal_api.sms import Purpose
from shared.phone import E164


class AccountFlows:
    """Each call opens a session. Clients may repeat a call with the same values and succeed again."""

    def __init__(self, services: Services, codes: CodeFlows) -> None:
        self._services = services
        self._codes = codes

    async def register(self, caller: Caller, number: E164, password: Password, ticket: str) -> LoggedIn:
        """Register a number with the ticket that ``codes.check_before_registration`` returned."""
        return await self._register(
            caller, number, password.accepted_for(number, self._services.common_secrets), ticket
        )

    async def register_with_code(
        self, caller: Caller, number: E164, password: Password, code: str, *, name: str | None = None
    ) -> LoggedIn:
        """Check the code and register the number in one call."""
        secret = password.accepted_for(number, self._services.common_secrets)
        checked = await self._codes.check(caller, Purpose.SIGN_UP, code, number, with_secret=True)
        return await self._register(caller, number, secret, checked.ticket, name)

    async def reset_password(self, caller: Caller, number: E164, password: Password, code: str) -> LoggedIn:
        """Check the code and set a new password; all earlier sessions of the user end."""
        secret = password.accepted_for(number, self._services.common_secrets)
        try:
            checked = await self._codes.check(caller, Purpose.RESET_PASSWORD, code, number, with_secret=True)
        except ServiceError as error:
            if error.code is ErrorCode.CODE_REFUSED:
                await self._codes.refuse_missing_account(caller, number)
            raise
        request = ResetPassword(
            ticket=checked.ticket,
            phone=number,
            secret=secret,
            address=caller.address,
            app=caller.app,
            dialect=caller.dialect,
            client=caller.client,
        )
        logged_in = await self._services.auth.call(RESET_PASSWORD, request)
        self._services.sessions.remember(logged_in)
        return logged_in

    async def _register(
        self, caller: Caller, number: E164, secret: str, ticket: str, name: str | None = None
    ) -> LoggedIn:
        request = Register(
            ticket=ticket,
            phone=number,
            secret=secret,
            name=name,
            address=caller.address,
            app=caller.app,
            dialect=caller.dialect,
            client=caller.client,
        )
        logged_in = await self._services.auth.call(REGISTER, request)
        self._services.sessions.remember(logged_in)
        return logged_in
