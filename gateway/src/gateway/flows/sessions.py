"""Sessions with one opaque token: logging in with a password, and finding a session by its token."""

from gateway.flows.services import Caller, Services
from gateway.flows.session_cache import Session
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOG_IN_WITH_PASSWORD, RESOLVE, LoggedIn, LogInWithPassword, Resolve
from shared.phone import E164


class SessionFlows:
    """Opens and resolves sessions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def log_in_with_password(self, caller: Caller, number: E164, password: Password) -> LoggedIn:
        """Open a session. Raises ``CREDENTIALS_REFUSED`` for an unknown number and for a wrong password alike."""
        return await self._services.auth.call(
            LOG_IN_WITH_PASSWORD,
            LogInWithPassword(
                phone=number,
                secret=password.secret,
                plain=password.plain_to_send,
                address=caller.address,
                app=caller.app,
                dialect=caller.dialect,
                client=caller.client,
            ),
        )

    async def number_shown(self, caller: Caller) -> E164 | None:
        """The number of the account whose living session the caller shows, if they show one."""
        for token in caller.tokens:
            try:
                return E164((await self.resolve(token)).account.phone)
            except ServiceError as error:
                if error.code is not ErrorCode.UNAUTHENTICATED:
                    raise
        return None

    async def resolve(self, token: str) -> Session:
        """The session of a token. Raises ``UNAUTHENTICATED``, at most five seconds after the session has ended."""
        if cached := self._services.sessions.get(token):
            return cached
        mark = self._services.sessions.mark()
        session = Session.of(await self._services.auth.call(RESOLVE, Resolve(token=token)))
        self._services.sessions.put(token, session, mark)
        return session
