"""Collects what the services store about a user. Short parts come at once, long lists in pages while they are sent."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.flows.services import Caller, Proof, Services
from gateway.flows.session_cache import Session
from shared.internal_api.personal_data.account import (
    EXPORT_ME,
    LIST_ACTIVITY,
    ActivityRow,
    ExportMe,
    ListActivity,
    PersonalAccount,
)
from shared.internal_api.personal_data.codes import (
    EXPORT_CODES,
    LIST_CODE_EVENTS,
    CodeEvent,
    CodeMessage,
    ExportCodes,
    ListCodeEvents,
)
from shared.internal_api.personal_data.contacts import EXPORT_CONTACTS, ExportContacts, ExportedContacts
from shared.internal_api.personal_data.pages import Cursor

PROVEN_WITHIN = timedelta(minutes=15)
"""How long before a user had the number its first code may have been sent: a code and its ticket live that long."""


@dataclass(frozen=True)
class PersonalData:
    """A user's data. The iterators read the pages of the long lists, oldest rows first; each may raise UNAVAILABLE."""

    account: PersonalAccount
    contacts: ExportedContacts
    messages: Sequence[CodeMessage]
    code_events: AsyncIterator[Sequence[CodeEvent]]
    activity: AsyncIterator[Sequence[ActivityRow]]


class PersonalDataFlows:
    """Every call takes a resolved session, so the caller is the account's owner."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def export(self, caller: Caller, session: Session, proof: Proof) -> PersonalData:
        """The data of the user. Raises ``PROOF_REQUIRED`` without a proof, and before anything is collected."""
        account = await self._services.auth.call(EXPORT_ME, proof.request(ExportMe, caller, session))
        phone, user_id = account.account.phone, account.account.user_id
        contacts = ExportContacts(user_id=user_id, own_phone=phone)
        codes = ExportCodes(phone=phone, since=_first_code_of(account))
        return PersonalData(
            account=account,
            contacts=await self._services.contacts.call(EXPORT_CONTACTS, contacts),
            messages=(await self._services.sms.call(EXPORT_CODES, codes)).messages,
            code_events=self._code_events(account),
            activity=self._activity(account),
        )

    async def _code_events(self, account: PersonalAccount) -> AsyncIterator[Sequence[CodeEvent]]:
        since = _first_code_of(account)
        after: Cursor | None = None
        while True:
            request = ListCodeEvents(phone=account.account.phone, since=since, until=account.exported_at, after=after)
            page = await self._services.sms.call(LIST_CODE_EVENTS, request)
            yield page.rows
            if (after := page.next) is None:
                return

    async def _activity(self, account: PersonalAccount) -> AsyncIterator[Sequence[ActivityRow]]:
        after: Cursor | None = None
        while True:
            request = ListActivity(
                user_id=account.account.user_id,
                phone=account.account.phone,
                number_since=account.number_since,
                until=account.exported_at,
                after=after,
            )
            page = await self._services.auth.call(LIST_ACTIVITY, request)
            yield page.rows
            if (after := page.next) is None:
                return


def _first_code_of(account: PersonalAccount) -> datetime:
    """From when on codes of the number are the user's: the one that proved it was the first."""
    return account.number_since - PROVEN_WITHIN
