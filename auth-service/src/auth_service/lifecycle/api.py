"""What auth-service answers: ``shared.internal_api.auth``, each call in three moves."""

from aiohttp import web

from auth_service.lifecycle.phone_change import PhoneChange
from auth_service.lifecycle.registration import Registration
from auth_service.sessions.password_login import PasswordLogin
from auth_service.tickets.spent_ticket_store import SpentTicketStore
from shared.internal_api.auth import (
    CHANGE_PHONE,
    FIND_CHANGE,
    FIND_SPENT,
    LOG_IN_WITH_PASSWORD,
    LOOK_UP,
    REGISTER,
    RESET_PASSWORD,
    ChangeFound,
    LookedUp,
)
from shared.internal_api.server import read, reply

ACCOUNTS: web.AppKey[Registration] = web.AppKey("accounts", Registration)
SESSIONS: web.AppKey[PasswordLogin] = web.AppKey("sessions", PasswordLogin)
NUMBERS: web.AppKey[PhoneChange] = web.AppKey("numbers", PhoneChange)
TICKETS: web.AppKey[SpentTicketStore] = web.AppKey("tickets", SpentTicketStore)
routes = web.RouteTableDef()


@routes.post(LOOK_UP.path)
async def look_up(request: web.Request) -> web.Response:
    call = await read(request, LOOK_UP)
    registered = await request.app[ACCOUNTS].look_up(call.phones)
    return reply(LookedUp(registered=registered))


@routes.post(REGISTER.path)
async def register(request: web.Request) -> web.Response:
    call = await read(request, REGISTER)
    return reply(await request.app[ACCOUNTS].register(call))


@routes.post(CHANGE_PHONE.path)
async def change_phone(request: web.Request) -> web.Response:
    call = await read(request, CHANGE_PHONE)
    return reply(await request.app[NUMBERS].change(call))


@routes.post(FIND_CHANGE.path)
async def find_change(request: web.Request) -> web.Response:
    call = await read(request, FIND_CHANGE)
    return reply(ChangeFound(old_verification_id=await request.app[NUMBERS].find(call)))


@routes.post(RESET_PASSWORD.path)
async def reset_password(request: web.Request) -> web.Response:
    call = await read(request, RESET_PASSWORD)
    return reply(await request.app[ACCOUNTS].reset_password(call))


@routes.post(LOG_IN_WITH_PASSWORD.path)
async def log_in(request: web.Request) -> web.Response:
    call = await read(request, LOG_IN_WITH_PASSWORD)
    return reply(await request.app[SESSIONS].log_in(call))


@routes.post(FIND_SPENT.path)
async def find_spent(request: web.Request) -> web.Response:
    call = await read(request, FIND_SPENT)
    return reply(await request.app[TICKETS].find(call.verification_ids))
