"""Sessions carried by two tokens: a short-lived one to show, and one to get the next two with."""

from dataclasses import dataclass
from uuid import UUID

from gateway.flows.services import Caller, Services
from gateway.passwords import Password
from shared.internal_api.auth import (
    Account,
    Grant,
    Granted,
    LoggedIn,
    LogInWithCode,
    PublicKey,
    Refresh,
    Register,
    ResetPassword,
)
from shared.internal_api.endpoint import Empty
from shared.internal_api.sms import CheckCode, CodeChecked, Purpose
from shared.phone import E164

SHORTEST_PASSWORD = 8


@dataclass(frozen=True)
class Entered:
    """A user who has just come in, with the tokens of his new session."""

    account: Account
    tokens: Granted


class GrantFlows:
    """What begins with a code, a ticket or a password, and ends with a pair of tokens.

    A ticket names its number to auth-service only, so a password that is the number is refused there.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def check_code(self, caller: Caller, purpose: Purpose, code: str, where: E164 | UUID) -> CodeChecked:
        """The ticket for the right code to a number, or of one verification. Raises ``CODE_REFUSED``."""
        found = {"verification_id": where} if isinstance(where, UUID) else {"phone": where}
        call = CheckCode(purpose=purpose, code=code, dialect=caller.dialect, address=caller.address, **found)
        return await self._services.sms.check(call)

    async def open_account(
        self, caller: Caller, ticket: str, password: Password | None, nickname: str | None
    ) -> Entered:
        """Open an account, without a password if there is none. Repeating it with the same values succeeds again."""
        secret = None if password is None else password.accepted_for(None, shortest=SHORTEST_PASSWORD)
        call = Register(ticket=ticket, secret=secret, nickname=nickname, dialect=caller.dialect, client=caller.client)
        return await self.enter(await self._services.auth.register(call))

    async def enter_with_ticket(self, caller: Caller, ticket: str) -> Entered:
        """Log in with a verified number."""
        call = LogInWithCode(ticket=ticket, dialect=caller.dialect, client=caller.client)
        return await self.enter(await self._services.auth.sign_in(call))

    async def enter_with_new_password(self, caller: Caller, ticket: str, password: Password) -> Entered:
        """Set a new password for a verified number; every earlier session ends. A repeat succeeds again."""
        secret = password.accepted_for(None, shortest=SHORTEST_PASSWORD)
        call = ResetPassword(ticket=ticket, secret=secret, dialect=caller.dialect, client=caller.client)
        return await self.enter(await self._services.auth.reset_password(call))

    async def refresh(self, refresh_token: str) -> Granted:
        """The next pair of tokens. Raises ``UNAUTHENTICATED``."""
        return await self._services.auth.refresh(Refresh(refresh_token=refresh_token))

    async def public_keys(self) -> list[PublicKey]:
        """The keys that access tokens are verified with."""
        return (await self._services.auth.read_keys(Empty())).keys

    async def enter(self, opened: LoggedIn) -> Entered:
        """The first tokens of a session just opened. Its opaque token goes no further than this."""
        tokens = await self._services.auth.grant(Grant(token=opened.token))
        self._services.sessions.forget_user(opened.account.user_id)
        return Entered(opened.account, tokens)
