"""Sessions with two tokens: a short-lived access token, and a refresh token that is exchanged for the next pair."""

from dataclasses import dataclass

from gateway.flows.services import Caller, Services
from gateway.flows.sessions import SessionFlows
from gateway.passwords import Password
from shared.internal_api.auth import (
    GRANT,
    LOG_IN_WITH_CODE,
    REFRESH,
    REGISTER_WITH_TOKENS,
    RESET_PASSWORD,
    Account,
    Grant,
    Granted,
    LoggedIn,
    LogInWithCode,
    Refresh,
    Register,
    ResetPassword,
)
from shared.internal_api.endpoint import Empty
from shared.internal_api.public_keys import READ_KEYS, IssuerKeys
from shared.phone import E164

MIN_PASSWORD = 8


@dataclass(frozen=True)
class NewSession:
    """An account, and the tokens of the session that was just opened for it."""

    account: Account
    tokens: Granted


class TokenFlows:
    """Opens sessions with a password or a ticket, and keeps them alive.

    Only auth-service can read the number in a ticket, so it refuses a password that equals the number.
    """

    def __init__(self, services: Services, sessions: SessionFlows) -> None:
        self._services = services
        self._sessions = sessions

    async def register(
        self, caller: Caller, ticket: str, password: Password | None, nickname: str | None
    ) -> NewSession:
        """Register the number of a ticket, without a password if none is set. A repeat succeeds again."""
        secret = None if password is None else self._accepted(password)
        request = Register(
            ticket=ticket,
            secret=secret,
            plain=None if password is None else password.plain_to_send,
            nickname=nickname,
            address=caller.address,
            app=caller.app,
            dialect=caller.dialect,
            client=caller.client,
        )
        registered = await self._services.auth.call(REGISTER_WITH_TOKENS, request)
        self._services.sessions.forget_user(registered.account.user_id)
        return NewSession(registered.account, registered.tokens)

    async def log_in_with_password(self, caller: Caller, number: E164, password: Password) -> NewSession:
        """Raises ``CREDENTIALS_REFUSED`` for an unknown number and for a wrong password alike."""
        return await self._grant(await self._sessions.log_in_with_password(caller, number, password))

    async def log_in_with_code(self, caller: Caller, ticket: str) -> NewSession:
        """Log in with the ticket of a ``SIGN_IN`` code."""
        request = LogInWithCode(
            ticket=ticket, address=caller.address, app=caller.app, dialect=caller.dialect, client=caller.client
        )
        return await self._grant(await self._services.auth.call(LOG_IN_WITH_CODE, request))

    async def reset_password(self, caller: Caller, ticket: str, password: Password) -> NewSession:
        """Set a new password with a ticket; all earlier sessions of the user end. A repeat succeeds again."""
        secret = self._accepted(password)
        request = ResetPassword(
            ticket=ticket,
            secret=secret,
            plain=password.plain_to_send,
            address=caller.address,
            app=caller.app,
            dialect=caller.dialect,
            client=caller.client,
        )
        return await self._grant(await self._services.auth.call(RESET_PASSWORD, request))

    async def refresh(self, caller: Caller, refresh_token: str) -> Granted:
        """Exchange a refresh token for the next pair. Raises ``UNAUTHENTICATED``."""
        request = Refresh(refresh_token=refresh_token, address=caller.address, app=caller.app)
        return await self._services.auth.call(REFRESH, request)

    async def public_keys(self) -> IssuerKeys:
        """The keys that verify access tokens, and their issuer."""
        return await self._services.auth.call(READ_KEYS, Empty())

    def _accepted(self, password: Password) -> str:
        return password.accepted_for(None, self._services.common_secrets, shortest=MIN_PASSWORD)

    async def _grant(self, logged_in: LoggedIn) -> NewSession:
        """Exchange the opaque token of a new session, which no client ever sees, for its first pair of tokens."""
        tokens = await self._services.auth.call(GRANT, Grant(token=logged_in.token))
        self._services.sessions.forget_user(logged_in.account.user_id)
        return NewSession(logged_in.account, tokens)
