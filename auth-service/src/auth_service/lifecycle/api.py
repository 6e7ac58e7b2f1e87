"""The internal API of this room: look up, register, reset a password, change an account, erase it."""

from aiohttp import web

from auth_service.changes.api import CHANGE_LIMIT
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
    REGISTER_WITH_TOKENS,
    RESET_PASSWORD,
    Account,
    ChangeFound,
    ChangePassword,
    ChangePhone,
    ChangeProfile,
    Erase,
    FindChange,
    Granted,
    LoggedIn,
    LookedUp,
    LookUp,
    Register,
    Registered,
    ResetPassword,
)
from shared.internal_api.calls import Calls
from shared.internal_api.endpoint import Empty

REGISTRATION: web.AppKey[Registration] = web.AppKey("registration", Registration)
PASSWORD_RESET: web.AppKey[PasswordReset] = web.AppKey("password_reset", PasswordReset)
PHONE_CHANGE: web.AppKey[PhoneChange] = web.AppKey("phone_change", PhoneChange)
SELF_SERVICE: web.AppKey[SelfService] = web.AppKey("self_service", SelfService)
ERASURE: web.AppKey[Erasure] = web.AppKey("erasure", Erasure)
calls = Calls()


@calls.answer(LOOK_UP)
async def look_up(app: web.Application, call: LookUp) -> LookedUp:
    return await app[REGISTRATION].look_up(call.phones)


@calls.answer(REGISTER)
async def register(app: web.Application, call: Register) -> LoggedIn:
    return await app[REGISTRATION].register(call)


@calls.answer(REGISTER_WITH_TOKENS)
async def register_with_tokens(app: web.Application, call: Register) -> Registered:
    return await app[REGISTRATION].register_with_tokens(call)


@calls.answer(RESET_PASSWORD)
async def reset_password(app: web.Application, call: ResetPassword) -> LoggedIn:
    return await app[PASSWORD_RESET].reset(call)


@calls.answer(CHANGE_PHONE)
async def change_phone(app: web.Application, call: ChangePhone) -> Account:
    await app[CHANGE_LIMIT].charge(call.user_id, "change_phone")
    return await app[PHONE_CHANGE].change(call)


@calls.answer(FIND_CHANGE)
async def find_change(app: web.Application, call: FindChange) -> ChangeFound:
    return ChangeFound(old_verification_id=await app[PHONE_CHANGE].find(call))


@calls.answer(CHANGE_PROFILE)
async def change_profile(app: web.Application, call: ChangeProfile) -> Account:
    await app[CHANGE_LIMIT].charge(call.user_id, "change_profile")
    return await app[SELF_SERVICE].change_profile(call)


@calls.answer(CHANGE_PASSWORD)
async def change_password(app: web.Application, call: ChangePassword) -> Granted:
    return await app[SELF_SERVICE].change_password(call)


@calls.answer(ERASE)
async def erase(app: web.Application, call: Erase) -> Empty:
    await app[ERASURE].erase(call)
    return Empty()
