"""What the flows are made of: the services they compose, as they need them, and who is calling."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from gateway.sealed_number import NumberSeal
from gateway.sessions import SessionCache
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    Account,
    ChangeFound,
    ChangePassword,
    ChangePhone,
    ChangeProfile,
    EndOthers,
    EndSession,
    Erase,
    FindChange,
    Grant,
    Granted,
    ListSessions,
    LivingSessions,
    LoggedIn,
    LogInWithCode,
    LogInWithPassword,
    PublicKeys,
    Refresh,
    Register,
    ResetPassword,
    Resolve,
    Resolved,
)
from shared.internal_api.contacts import Match, Matched
from shared.internal_api.endpoint import Address, Empty
from shared.internal_api.sms import AskStatus, CheckCode, CodeChecked, CodeIssued, IssueCode, Language, Purpose, Status
from shared.phone import E164


class Auth(Protocol):
    """What the flows need of auth-service."""

    async def is_registered(self, number: E164) -> bool: ...
    async def register(self, call: Register) -> LoggedIn: ...
    async def log_in(self, call: LogInWithPassword) -> LoggedIn: ...
    async def reset_password(self, call: ResetPassword) -> LoggedIn: ...
    async def change_phone(self, call: ChangePhone) -> Account: ...
    async def find_change(self, call: FindChange) -> ChangeFound: ...
    async def resolve(self, call: Resolve) -> Resolved: ...
    async def sign_in(self, call: LogInWithCode) -> LoggedIn: ...
    async def grant(self, call: Grant) -> Granted: ...
    async def refresh(self, call: Refresh) -> Granted: ...
    async def read_keys(self, call: Empty) -> PublicKeys: ...
    async def list_sessions(self, call: ListSessions) -> LivingSessions: ...
    async def end_session(self, call: EndSession) -> Empty: ...
    async def end_others(self, call: EndOthers) -> Empty: ...
    async def change_password(self, call: ChangePassword) -> Empty: ...
    async def change_profile(self, call: ChangeProfile) -> Account: ...
    async def erase(self, call: Erase) -> Empty: ...


class Sms(Protocol):
    """What the flows need of sms-service."""

    async def issue(self, call: IssueCode) -> CodeIssued: ...
    async def check(self, call: CheckCode) -> CodeChecked: ...
    async def status(self, call: AskStatus) -> Status: ...


class Contacts(Protocol):
    """What the flows need of contacts-service."""

    async def match(self, call: Match) -> Matched: ...


@dataclass(frozen=True)
class Caller:
    """Who is calling: from where, in which dialect, with which client, under that dialect's sending rules.

    ``language`` is what he would like to read, where he asks for one that we write.
    """

    address: Address
    dialect: str
    client: str
    cooldown: int
    daily_cap: int
    language: Language | None = None


@dataclass(frozen=True)
class Services:
    """Everything that a flow may ask. ``served_calling_codes`` are the calling codes that are served."""

    auth: Auth
    sms: Sms
    contacts: Contacts
    sessions: SessionCache
    seal: NumberSeal
    served_calling_codes: Collection[str]

    async def registered(self, number: E164) -> bool:
        """Whether the number has an account."""
        return await self.auth.is_registered(number)

    async def ticket(self, caller: Caller, number: E164, purpose: Purpose, code: str) -> str:
        """The ticket for the right code, the same one each time. Raises ``CODE_REFUSED``."""
        call = CheckCode(purpose=purpose, code=code, phone=number, dialect=caller.dialect, address=caller.address)
        return (await self.sms.check(call)).ticket

    async def look_for_code(self, caller: Caller, number: E164, refuse: ErrorCode | None) -> None:
        """Raise ``CALLER_LIMIT``, then ``refuse``, then ``COOLDOWN``, whichever holds first."""
        await self.sms.status(AskStatus(phone=number, address=caller.address, cooldown=caller.cooldown, refuse=refuse))
