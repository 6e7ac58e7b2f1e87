"""The internal API of this room: a user's own data."""

from aiohttp import web

from auth_service.personal_data.personal_data import PersonalData
from shared.internal_api.calls import Calls
from shared.internal_api.personal_data.account import (
    EXPORT_ME,
    LIST_ACTIVITY,
    ActivityPage,
    ExportMe,
    ListActivity,
    PersonalAccount,
)

PERSONAL_DATA: web.AppKey[PersonalData] = web.AppKey("personal_data", PersonalData)
calls = Calls()


@calls.answer(EXPORT_ME)
async def export_me(app: web.Application, call: ExportMe) -> PersonalAccount:
    return await app[PERSONAL_DATA].export(call)


@calls.answer(LIST_ACTIVITY)
async def list_activity(app: web.Application, call: ListActivity) -> ActivityPage:
    return await app[PERSONAL_DATA].activity(call)
