"""The three services as typed methods: paths and shapes come from ``shared.internal_api``."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.batching import Batcher
from shared.internal_api import auth, contacts, sms
from shared.internal_api.client import InternalClient
from shared.internal_api.endpoint import Empty
from shared.phone import E164


class AuthBackend:
    """auth-service: accounts, passwords, sessions."""

    def __init__(self, peer: InternalClient) -> None:
        self.peer = peer
        self._look_up = Batcher(self._look_up_all)

    async def is_registered(self, number: E164) -> bool:
        """Whether a number has an account; those that are asked close together, in one call."""
        return await self._look_up(number)

    async def _look_up_all(self, numbers: Sequence[E164]) -> list[bool]:
        return (await self.peer.call(auth.LOOK_UP, auth.LookUp(phones=list(numbers)))).registered

    async def register(self, call: auth.Register) -> auth.LoggedIn:
        return await self.peer.call(auth.REGISTER, call)

    async def log_in(self, call: auth.LogInWithPassword) -> auth.LoggedIn:
        return await self.peer.call(auth.LOG_IN_WITH_PASSWORD, call)

    async def reset_password(self, call: auth.ResetPassword) -> auth.LoggedIn:
        return await self.peer.call(auth.RESET_PASSWORD, call)

    async def change_phone(self, call: auth.ChangePhone) -> auth.Account:
        return await self.peer.call(auth.CHANGE_PHONE, call)

    async def find_change(self, call: auth.FindChange) -> auth.ChangeFound:
        return await self.peer.call(auth.FIND_CHANGE, call)

    async def sign_in(self, call: auth.LogInWithCode) -> auth.LoggedIn:
        return await self.peer.call(auth.LOG_IN_WITH_CODE, call)

    async def grant(self, call: auth.Grant) -> auth.Granted:
        return await self.peer.call(auth.GRANT, call)

    async def refresh(self, call: auth.Refresh) -> auth.Granted:
        return await self.peer.call(auth.REFRESH, call)

    async def read_keys(self, call: Empty) -> auth.PublicKeys:
        return await self.peer.call(auth.READ_KEYS, call)

    async def list_sessions(self, call: auth.ListSessions) -> auth.LivingSessions:
        return await self.peer.call(auth.LIST_SESSIONS, call)

    async def end_session(self, call: auth.EndSession) -> Empty:
        return await self.peer.call(auth.END_SESSION, call)

    async def end_others(self, call: auth.EndOthers) -> Empty:
        return await self.peer.call(auth.END_OTHERS, call)

    async def change_password(self, call: auth.ChangePassword) -> Empty:
        return await self.peer.call(auth.CHANGE_PASSWORD, call)

    async def change_profile(self, call: auth.ChangeProfile) -> auth.Account:
        return await self.peer.call(auth.CHANGE_PROFILE, call)

    async def erase(self, call: auth.Erase) -> Empty:
        return await self.peer.call(auth.ERASE, call)

    async def resolve(self, call: auth.Resolve) -> auth.Resolved:
        return await self.peer.call(auth.RESOLVE, call)


@dataclass(frozen=True)
class SmsBackend:
    """sms-service: codes."""

    peer: InternalClient

    async def issue(self, call: sms.IssueCode) -> sms.CodeIssued:
        return await self.peer.call(sms.ISSUE_CODE, call)

    async def check(self, call: sms.CheckCode) -> sms.CodeChecked:
        return await self.peer.call(sms.CHECK_CODE, call)

    async def status(self, call: sms.AskStatus) -> sms.Status:
        return await self.peer.call(sms.ASK_STATUS, call)

    async def take_receipt(self, call: sms.TakeReceipt) -> sms.ReceiptTaken:
        return await self.peer.call(sms.TAKE_RECEIPT, call)


@dataclass(frozen=True)
class ContactsBackend:
    """contacts-service: who of these is a member."""

    peer: InternalClient

    async def match(self, call: contacts.Match) -> contacts.Matched:
        return await self.peer.call(contacts.MATCH, call)
