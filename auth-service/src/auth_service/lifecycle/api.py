"""The internal API of this room: look up, register, reset a password, change an account, erase it."""

from aiohttp import web

from auth_service.changes.api import read_change
from auth_service.erasure.erasure import Erasure
from auth_service.lifecycle.password_reset import PasswordReset
from auth_service.lifecycle.phone_change import PhoneChange
from auth_service.lifecycle.registration import Registration
from auth_service.lifecycle.self_service import SelfService
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PHONE,
    CHANGE_PROFILE,
    ERASE,
    FIND_CHANGE,
    LOOK_UP,
    REGISTER,
    RESET_PASSWORD,
    ChangeFound,
)
from shared.internal_api.endpoint import Empty
from shared.internal_api.server import read, reply

REGISTRATION: web.AppKey[Registration] = web.AppKey("registration", Registration)
PASSWORD_RESET: web.AppKey[PasswordReset] = web.AppKey("password_reset", PasswordReset)
PHONE_CHANGE: web.AppKey[PhoneChange] = web.AppKey("phone_change", PhoneChange)
SELF_SERVICE: web.AppKey[SelfService] = web.AppKey("self_service", SelfService)
ERASURE: web.AppKey[Erasure] = web.AppKey("erasure", Erasure)
routes = web.RouteTableDef()


@routes.post(LOOK_UP.path)
async def look_up(request: web.Request) -> web.Response:
    call = await read(request, LOOK_UP)
    return reply(await request.app[REGISTRATION].look_up(call.phones))


@routes.post(REGISTER.path)
async def register(request: web.Request) -> web.Response:
    call = await read(request, REGISTER)
    return reply(await request.app[REGISTRATION].register(call))


@routes.post(RESET_PASSWORD.path)
async def reset_password(request: web.Request) -> web.Response:
    call = await read(request, RESET_PASSWORD)
    return reply(await request.app[PASSWORD_RESET].reset(call))


@routes.post(CHANGE_PHONE.path)
async def change_phone(request: web.Request) -> web.Response:
    call = await read_change(request, CHANGE_PHONE)
    return reply(await request.app[PHONE_CHANGE].change(call))


@routes.post(FIND_CHANGE.path)
async def find_change(request: web.Request) -> web.Response:
    call = await read(request, FIND_CHANGE)
    return reply(ChangeFound(old_verification_id=await request.app[PHONE_CHANGE].find(call)))


@routes.post(CHANGE_PROFILE.path)
async def change_profile(request: web.Request) -> web.Response:
    call = await read_change(request, CHANGE_PROFILE)
    return reply(await request.app[SELF_SERVICE].change_profile(call))


@routes.post(CHANGE_PASSWORD.path)
async def change_password(request: web.Request) -> web.Response:
    call = await read_change(request, CHANGE_PASSWORD)
    return reply(await request.app[SELF_SERVICE].change_password(call))


@routes.post(ERASE.path)
async def erase(request: web.Request) -> web.Response:
    call = await read_change(request, ERASE)
    await request.app[ERASURE].erase(call)
    return reply(Empty())
