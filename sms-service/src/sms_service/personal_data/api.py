"""The internal API of this room: what the gateway gives to a user who proved anew who they are."""

from aiohttp import web

from shared.internal_api.calls import Calls
from shared.internal_api.personal_data.codes import (
    EXPORT_CODES,
    LIST_CODE_EVENTS,
    CodeEventPage,
    ExportCodes,
    ExportedCodes,
    ListCodeEvents,
)
from sms_service.personal_data.store import PersonalDataStore

PERSONAL_DATA: web.AppKey[PersonalDataStore] = web.AppKey("personal_data", PersonalDataStore)
calls = Calls()


@calls.answer(EXPORT_CODES)
async def export_codes(app: web.Application, call: ExportCodes) -> ExportedCodes:
    return await app[PERSONAL_DATA].codes(call)


@calls.answer(LIST_CODE_EVENTS)
async def list_code_events(app: web.Application, call: ListCodeEvents) -> CodeEventPage:
    return await app[PERSONAL_DATA].events(call)
