"""The internal API of this room: what the gateway gives to a user who proved anew who they are."""

from aiohttp import web
from pydantic import SecretStr

from shared.internal_api.calls import Calls
from shared.internal_api.personal_data.codes import (
    EXPORT_CODES,
    LIST_CODE_EVENTS,
    CodeEventPage,
    ExportCodes,
    ExportedCodes,
    ListCodeEvents,
)
from shared.phone import PhoneKeys
from shared.postgres import Pool
from sms_service.personal_data.store import PersonalDataStore

PERSONAL_DATA: web.AppKey[PersonalDataStore] = web.AppKey("personal_data", PersonalDataStore)
calls = Calls()


@calls.answer(EXPORT_CODES)
async def export_codes(app: web.Application, call: ExportCodes) -> ExportedCodes:
    return await app[PERSONAL_DATA].codes(call)


@calls.answer(LIST_CODE_EVENTS)
async def list_code_events(app: web.Application, call: ListCodeEvents) -> CodeEventPage:
    return await app[PERSONAL_DATA].events(call)


def provide_personal_data(app: web.Application, pool: Pool, phone_key: SecretStr) -> None:
    """Give an application what these calls read."""
    phones = PhoneKeys(bytes.fromhex(phone_key.get_secret_value()))
    app[PERSONAL_DATA] = PersonalDataStore(pool, phones)
