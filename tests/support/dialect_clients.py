"""A client of each dialect that registers, logs in and resets, for tests that mix dialects."""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from support.app import App, Reply
from support.database import Tables


@dataclass(frozen=True)
class Environment:
    """What a client works with: the gateway, and the tables, in which tests let time pass."""

    app: App
    tables: Tables
    tickets: dict[str, str] = field(default_factory=dict)  # what a client sends in its next call, by number

    async def post(self, path: str, fields: dict[str, Any], method: str = "POST") -> Reply:
        return await self.app.call(method, path, json=fields)

    async def end_cooldown(self, number: str) -> None:
        """Let every cooldown of a number end."""
        await self.tables.age(number, 121)


SendCode = Callable[[Environment, str], Awaitable[Reply]]
UseCode = Callable[[Environment, str, str, str], Awaitable[Reply]]
LogIn = Callable[[Environment, str, str], Awaitable[Reply]]


@dataclass(frozen=True)
class DialectClient:
    """The calls of one dialect, with the environment, the number, the password and the code as arguments.

    A call that the dialect lacks is None. ``user_of`` reads the user's id in a response, or None if it has none.
    """

    send_registration_code: SendCode
    register: UseCode
    user_of: Callable[[Any], int | None]
    log_in: LogIn | None = None
    send_reset_code: SendCode | None = None
    reset: UseCode | None = None


def _tel(number: str) -> dict[str, int]:
    return {"dialCode": 86, "number": int(number)}


async def _maitian_register(environment: Environment, number: str, password: str, code: str) -> Reply:
    if number not in environment.tickets:
        environment.tickets[number] = (await environment.app.verify(number, code)).body["data"]["tmp_token"]
    return await environment.app.new_user(number, password, environment.tickets[number])


def _maitian_user(body: Any) -> int:
    return int(body["data"]["userId"] if "data" in body else body["user_id"])


MAITIAN = DialectClient(
    send_registration_code=lambda environment, number: environment.app.send_code(number),
    register=_maitian_register,
    user_of=_maitian_user,
    log_in=lambda environment, number, password: environment.app.log_in(number, password),
    send_reset_code=lambda environment, number: environment.app.forgot(number),
    reset=lambda environment, number, password, code: environment.app.reset(number, code, password),
)


async def _phone_info_send(environment: Environment, number: str) -> Reply:
    return await environment.post("/v1/user/sendRegisterMessage", {"phone": number})


async def _phone_info_register(environment: Environment, number: str, password: str, code: str) -> Reply:
    """Sends another message first, to get a ``phoneInfo``; the code in it is the same."""
    if number not in environment.tickets:
        await environment.end_cooldown(number)
        environment.tickets[number] = (await _phone_info_send(environment, number)).body["result"]
        assert await environment.app.code(number) == code
    fields = {"name": f"name {number}", "password": password, "code": code, "phoneInfo": environment.tickets[number]}
    return await environment.post("/v1/user/register", fields)


PHONE_INFO = DialectClient(
    send_registration_code=_phone_info_send,
    register=_phone_info_register,
    user_of=lambda body: body["result"]["uuid"],
)


def _page_user(body: Any) -> None:
    assert body["errorCode"] == "0000", body


REGISTER_PAGE = DialectClient(
    send_registration_code=lambda environment, number: environment.post("/v1/register/sendCode", {"phone": number}),
    register=lambda environment, number, password, code: environment.post(
        "/v1/register", {"phone": number, "vcode": code, "password": password}
    ),
    user_of=_page_user,
)


TEL = DialectClient(
    send_registration_code=lambda environment, number: environment.post(
        "/actions/sms", {"tel": _tel(number), "action": "signup"}
    ),
    register=lambda environment, number, password, code: environment.post(
        "/users", {"tel": _tel(number), "password": password, "captcha": code}
    ),
    user_of=lambda body: body["userId"],
    log_in=lambda environment, number, password: environment.post(
        "/users/signin", {"tel": _tel(number), "password": password}
    ),
    send_reset_code=lambda environment, number: environment.post(
        "/actions/sms", {"tel": _tel(number), "action": "resetPassword"}
    ),
    reset=lambda environment, number, password, code: environment.post(
        "/users/password", {"tel": _tel(number), "password": password, "captcha": code}, "PUT"
    ),
)


async def _native_send(environment: Environment, number: str, purpose: str) -> Reply:
    return await environment.post("/v2/verifications", {"phone": number, "purpose": purpose})


async def _native_ticket(environment: Environment, number: str, purpose: str, code: str) -> str:
    if number + purpose not in environment.tickets:
        checked = await environment.post("/v2/verifications/check", {"phone": number, "purpose": purpose, "code": code})
        environment.tickets[number + purpose] = checked.body["ticket"]
    return environment.tickets[number + purpose]


async def _native_register(environment: Environment, number: str, password: str, code: str) -> Reply:
    ticket = await _native_ticket(environment, number, "sign_up", code)
    return await environment.post("/v2/accounts", {"ticket": ticket, "password": password})


async def _native_reset(environment: Environment, number: str, password: str, code: str) -> Reply:
    ticket = await _native_ticket(environment, number, "reset_password", code)
    return await environment.post("/v2/password", {"ticket": ticket, "password": password}, "PUT")


def _native_user(body: Any) -> int:
    """The user's id in an account, or in the subject of an access token."""
    if "account" in body:
        return int(body["account"]["user_id"])
    payload: str = body["access_token"].split(".")[1]
    return int(json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"])


NATIVE = DialectClient(
    send_registration_code=lambda environment, number: _native_send(environment, number, "sign_up"),
    register=_native_register,
    user_of=_native_user,
    log_in=lambda environment, number, password: environment.post(
        "/v2/sessions", {"phone": number, "password": password}
    ),
    send_reset_code=lambda environment, number: _native_send(environment, number, "reset_password"),
    reset=_native_reset,
)

DIALECT_CLIENTS = {
    "maitian": MAITIAN,
    "native": NATIVE,
    "phone_info": PHONE_INFO,
    "register_page": REGISTER_PAGE,
    "tel": TEL,
}
WITH_LOG_IN = {name: client for name, client in DIALECT_CLIENTS.items() if client.log_in}
WITH_RESET = {name: client for name, client in DIALECT_CLIENTS.items() if client.reset}
