"""How each dialect registers, logs in and resets, for tests that mix them. A new dialect is one more entry."""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from support.app import App, Reply
from support.database import Tables


@dataclass(frozen=True)
class World:
    """What a speaker has at hand: the gateway, and a way to let time pass."""

    app: App
    tables: Tables
    carried: dict[str, str] = field(default_factory=dict)  # what a client carries between its calls, by number

    async def post(self, path: str, fields: dict[str, Any], method: str = "POST") -> Reply:
        return await self.app.call(method, path, json=fields)

    async def pause(self, number: str) -> None:
        """Let every cooldown of a number pass."""
        await self.tables.age(number, 121)


Ask = Callable[[World, str], Awaitable[Reply]]
UseCode = Callable[[World, str, str, str], Awaitable[Reply]]
LogIn = Callable[[World, str, str], Awaitable[Reply]]


@dataclass(frozen=True)
class Speaker:
    """One dialect's calls: ``(world, number)``, then the password, then the code. ``user_of`` reads a user's id.

    What a dialect has no call for is ``None``; so is the id in an answer that does not tell it.
    """

    ask_sign_up: Ask
    register: UseCode
    user_of: Callable[[Any], int | None]
    log_in: LogIn | None = None
    ask_reset: Ask | None = None
    reset: UseCode | None = None


def _tel(number: str) -> dict[str, int]:
    return {"dialCode": 86, "number": int(number)}


async def _maitian_register(world: World, number: str, password: str, code: str) -> Reply:
    if number not in world.carried:
        world.carried[number] = (await world.app.verify(number, code)).body["data"]["tmp_token"]
    return await world.app.new_user(number, password, world.carried[number])


def _maitian_user(body: Any) -> int:
    return int(body["data"]["userId"] if "data" in body else body["user_id"])


MAITIAN = Speaker(
    ask_sign_up=lambda world, number: world.app.send_code(number),
    register=_maitian_register,
    user_of=_maitian_user,
    log_in=lambda world, number, password: world.app.log_in(number, password),
    ask_reset=lambda world, number: world.app.forgot(number),
    reset=lambda world, number, password, code: world.app.reset(number, code, password),
)


async def _phone_info_send(world: World, number: str) -> Reply:
    return await world.post("/v1/user/sendRegisterMessage", {"phone": number})


async def _phone_info_register(world: World, number: str, password: str, code: str) -> Reply:
    """Asks again first, for its ``phoneInfo``: the code that goes out is the same one."""
    if number not in world.carried:
        await world.pause(number)
        world.carried[number] = (await _phone_info_send(world, number)).body["result"]
        assert await world.app.code(number) == code
    fields = {"name": f"name {number}", "password": password, "code": code, "phoneInfo": world.carried[number]}
    return await world.post("/v1/user/register", fields)


PHONE_INFO = Speaker(
    ask_sign_up=_phone_info_send,
    register=_phone_info_register,
    user_of=lambda body: body["result"]["uuid"],
)


def _page_user(body: Any) -> None:
    assert body["errorCode"] == "0000", body


REGISTER_PAGE = Speaker(
    ask_sign_up=lambda world, number: world.post("/v1/register/sendCode", {"phone": number}),
    register=lambda world, number, password, code: world.post(
        "/v1/register", {"phone": number, "vcode": code, "password": password}
    ),
    user_of=_page_user,
)


TEL = Speaker(
    ask_sign_up=lambda world, number: world.post("/actions/sms", {"tel": _tel(number), "action": "signup"}),
    register=lambda world, number, password, code: world.post(
        "/users", {"tel": _tel(number), "password": password, "captcha": code}
    ),
    user_of=lambda body: body["userId"],
    log_in=lambda world, number, password: world.post("/users/signin", {"tel": _tel(number), "password": password}),
    ask_reset=lambda world, number: world.post("/actions/sms", {"tel": _tel(number), "action": "resetPassword"}),
    reset=lambda world, number, password, code: world.post(
        "/users/password", {"tel": _tel(number), "password": password, "captcha": code}, "PUT"
    ),
)


async def _native_send(world: World, number: str, purpose: str) -> Reply:
    return await world.post("/v2/verifications", {"phone": number, "purpose": purpose})


async def _native_ticket(world: World, number: str, purpose: str, code: str) -> str:
    if number + purpose not in world.carried:
        checked = await world.post("/v2/verifications/check", {"phone": number, "purpose": purpose, "code": code})
        world.carried[number + purpose] = checked.body["ticket"]
    return world.carried[number + purpose]


async def _native_register(world: World, number: str, password: str, code: str) -> Reply:
    ticket = await _native_ticket(world, number, "sign_up", code)
    return await world.post("/v2/accounts", {"ticket": ticket, "password": password})


async def _native_reset(world: World, number: str, password: str, code: str) -> Reply:
    ticket = await _native_ticket(world, number, "reset_password", code)
    return await world.post("/v2/password", {"ticket": ticket, "password": password}, "PUT")


def _native_user(body: Any) -> int:
    """The user in an account, or in the subject of an access token."""
    if "account" in body:
        return int(body["account"]["user_id"])
    payload: str = body["access_token"].split(".")[1]
    return int(json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"])


NATIVE = Speaker(
    ask_sign_up=lambda world, number: _native_send(world, number, "sign_up"),
    register=_native_register,
    user_of=_native_user,
    log_in=lambda world, number, password: world.post("/v2/sessions", {"phone": number, "password": password}),
    ask_reset=lambda world, number: _native_send(world, number, "reset_password"),
    reset=_native_reset,
)

SPEAKERS = {
    "maitian": MAITIAN,
    "native": NATIVE,
    "phone_info": PHONE_INFO,
    "register_page": REGISTER_PAGE,
    "tel": TEL,
}
LOG_INS = {name: speaker for name, speaker in SPEAKERS.items() if speaker.log_in}
RESETS = {name: speaker for name, speaker in SPEAKERS.items() if speaker.reset}
