"""The internal API of this room: what the gateway gives to a user who proved anew who they are."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from contacts_service.personal_data.store import EntryStore
from shared.internal_api.calls import Calls
from shared.internal_api.personal_data.contacts import EXPORT_CONTACTS, ExportContacts, ExportedContacts, LookUps
from shared.phone import E164, PhoneKeys


@dataclass(frozen=True)
class PersonalData:
    """Where a user's data is. ``look_ups`` reads the budget of a number by its reference."""

    entries: EntryStore
    look_ups: Callable[[int], Awaitable[LookUps]]
    phones: PhoneKeys

    async def export(self, request: ExportContacts) -> ExportedContacts:
        """The entry of a user, and how much they looked up."""
        own_ref = self.phones.ref(E164(request.own_phone))
        return ExportedContacts(entry=await self.entries.entry(request.user_id), look_ups=await self.look_ups(own_ref))


PERSONAL_DATA: web.AppKey[PersonalData] = web.AppKey("personal_data", PersonalData)
calls = Calls()


@calls.answer(EXPORT_CONTACTS)
async def export_contacts(app: web.Application, call: ExportContacts) -> ExportedContacts:
    return await app[PERSONAL_DATA].export(call)
