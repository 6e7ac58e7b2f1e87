"""Sessions with one opaque token: logging in with a password, and finding a session by its token."""

from gateway.flows.services import Caller, Services
from gateway.passwords import Password
from shared.internal_api.auth import LOG_IN_WITH_PASSWORD, RESOLVE, LoggedIn, LogInWithPassword, Resolve, Resolved
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
                address=caller.address,
                app=caller.app,
                dialect=caller.dialect,
                client=caller.client,
            ),
        )

    async def resolve(self, token: str) -> Resolved:
        """The session of a token. Raises ``UNAUTHENTICATED``, at most five seconds after the session has ended."""
        if cached := self._services.sessions.get(token):
            return cached
        mark = self._services.sessions.mark()
        resolved = await self._services.auth.call(RESOLVE, Resolve(token=token))
        self._services.sessions.put(token, resolved, mark)
        return resolved
