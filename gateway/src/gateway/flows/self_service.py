"""What users do with their own account: profile, password, number, sessions, contacts, and erasing it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.flows.codes import CodeFlows
from gateway.flows.services import Caller, Proof, Services
from gateway.flows.session_cache import Session
from gateway.flows.tokens import MIN_PASSWORD
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PHONE,
    CHANGE_PROFILE,
    END_OTHERS,
    END_SESSION,
    ERASE,
    FIND_CHANGE,
    LIST_SESSIONS,
    Account,
    ChangePassword,
    ChangePhone,
    ChangeProfile,
    EndOthers,
    EndSession,
    Erase,
    FindChange,
    Granted,
    ListSessions,
    LivingSession,
)
from shared.internal_api.contacts import MATCH, MATCH_UNREAD, Match, Matched
from shared.internal_api.sms import Purpose
from shared.numbers.spelling import text_of
from shared.phone import E164


class SelfServiceFlows:
    """Every call takes a resolved session, so the caller is the account's owner."""

    def __init__(self, services: Services, codes: CodeFlows) -> None:
        self._services = services
        self._codes = codes

    async def change_profile(self, session: Session, changes: Mapping[str, Any]) -> Account:
        """Change the given fields; the others stay."""
        user_id = session.account.user_id
        account = await self._services.auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, **changes))
        self._services.sessions.forget_user(user_id)
        return account

    async def change_password(self, caller: Caller, session: Session, current: Password, new: Password) -> Granted:
        """Replace the password. The other sessions end; this one gets new tokens. Raises ``CREDENTIALS_REFUSED``."""
        account = session.account
        request = ChangePassword(
            user_id=account.user_id,
            session_id=session.session_id,
            phone=account.phone,
            current=current.secret,
            current_plain=current.plain_to_send,
            secret=new.accepted_for(E164(account.phone), self._services.common_secrets, shortest=MIN_PASSWORD),
            address=caller.address,
            app=caller.app,
            dialect=caller.dialect,
            client=caller.client,
        )
        tokens = await self._services.auth.call(CHANGE_PASSWORD, request)
        self._services.sessions.forget_user(account.user_id)
        return tokens

    async def change_number(self, caller: Caller, session: Session, *, old_ticket: str, new_ticket: str) -> Account:
        """Change the number with a ticket for the old and one for the new number; other sessions end.

        Clients may repeat the call with the same tickets and succeed again.
        """
        user_id = session.account.user_id
        request = ChangePhone(
            user_id=user_id,
            session_id=session.session_id,
            old_ticket=old_ticket,
            new_ticket=new_ticket,
            address=caller.address,
            app=caller.app,
            dialect=caller.dialect,
            client=caller.client,
        )
        account = await self._services.auth.call(CHANGE_PHONE, request)
        self._services.sessions.forget_user(user_id)
        return account

    async def change_number_with_codes(
        self, caller: Caller, session: Session, number: E164, *, old_code: str, new_code: str
    ) -> Account:
        """Check a code sent to the old and one sent to the new number, then change the number."""
        caller = caller.logged_in(session)
        new = await self._codes.check(caller, Purpose.CHANGE_PHONE, new_code, number, with_secret=True)
        old_subject: E164 | UUID = E164(session.account.phone)
        if old_subject == number:
            old_subject = await self._old_verification(session.account.user_id, new.ticket)
        old = await self._codes.check(caller, Purpose.CHANGE_PHONE, old_code, old_subject, with_secret=True)
        return await self.change_number(caller, session, old_ticket=old.ticket, new_ticket=new.ticket)

    async def erase(self, caller: Caller, session: Session, proof: Proof) -> None:
        """Erase the account; its number is free immediately. Raises ``PROOF_REQUIRED`` without a proof."""
        user_id = session.account.user_id
        await self._services.auth.call(ERASE, proof.request(Erase, caller, session))
        self._services.sessions.forget_user(user_id)

    async def list_sessions(self, session: Session) -> Sequence[LivingSession]:
        """The user's open sessions, newest first."""
        request = ListSessions(user_id=session.account.user_id)
        return (await self._services.auth.call(LIST_SESSIONS, request)).sessions

    async def end_session(self, session: Session, session_id: UUID) -> None:
        """End one of the user's sessions, which may be the current one. Raises ``NOT_FOUND``."""
        user_id = session.account.user_id
        request = EndSession(user_id=user_id, session_id=session_id, caller_id=session.session_id)
        await self._services.auth.call(END_SESSION, request)
        self._services.sessions.forget_user(user_id)

    async def end_other_sessions(self, caller: Caller, session: Session) -> None:
        """End all of the user's sessions except the current one.

        If the caller's network is known to the number, no other stays so.
        """
        user_id = session.account.user_id
        request = EndOthers(user_id=user_id, session_id=session.session_id, address=caller.address, app=caller.app)
        await self._services.auth.call(END_OTHERS, request)
        self._services.sessions.forget_user(user_id)

    async def match_contacts(self, session: Session, phones: Sequence[Any]) -> Matched:
        """The registered numbers among ``phones``. Entries that are not phone numbers are skipped.

        A JSON number is matched, and sent back, as its decimal digits.
        """
        return await self._services.contacts.call(MATCH, _match(session, phones))

    async def match_contacts_unread(self, session: Session, phones: Sequence[Any]) -> bytes:
        """The same as the JSON of a ``Matched``, which has a hundred members or more and is not read here."""
        return (await self._services.contacts.call(MATCH_UNREAD, _match(session, phones))).body

    async def _old_verification(self, user_id: int, new_ticket: str) -> UUID:
        """The verification of the old number, in a repeat of a change that has already happened.

        Raises ``NUMBER_TAKEN`` if the ticket of the new number changed nothing: the number was the user's before.
        """
        change = await self._services.auth.call(FIND_CHANGE, FindChange(user_id=user_id, new_ticket=new_ticket))
        if change.old_verification_id is None:
            raise ServiceError(ErrorCode.NUMBER_TAKEN)
        return change.old_verification_id


def _match(session: Session, phones: Sequence[Any]) -> Match:
    account = session.account
    entries = phones if set(map(type, phones)) == {str} else list(map(text_of, phones))
    return Match(user_id=account.user_id, own_phone=account.phone, phones=entries)
