"""The calls that must not tell whether a number has an account, in sequences of one number and many strangers."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from support.app import md5

WRONG_PASSWORD = "not the password"
WRONG_CODE = "000000"
"""Once in a million codes it is correct, and the answer unexpected."""


class UnexpectedAnswerError(Exception):
    """A call was answered otherwise than it should be for every number."""


def must(condition: bool, body: object) -> None:
    """Raise ``UnexpectedAnswerError`` unless the answer is the expected one."""
    if not condition:
        raise UnexpectedAnswerError(body)


@dataclass
class NumberCalls:
    """The calls for one number: what earlier ones returned, for those that send it back."""

    http: aiohttp.ClientSession
    gateway: str
    number: str
    returned: dict[str, Any] = field(default_factory=dict)

    @property
    def tel(self) -> dict[str, int]:
        return {"dialCode": 86, "number": int(self.number)}

    async def call(self, method: str, path: str, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Call from a network that called nothing before. Returns the status and the body."""
        address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"
        headers = {"X-Forwarded-For": address}
        async with self.http.request(method, self.gateway + path, json=fields, headers=headers) as response:
            return response.status, await response.json()


Step = Callable[[NumberCalls], Awaitable[None]]


@dataclass(frozen=True)
class Flow:
    """Calls that are made one after the other for each number. Each is measured."""

    name: str
    steps: Sequence[tuple[str, Step]]


def _maitian(path: str, expected: str, **fields: str) -> Step:
    async def step(calls: NumberCalls) -> None:
        request = {"source": "app", "phone_number": calls.number, **fields}
        _, body = await calls.call("POST", f"/v1/user/{path}.json", request)
        must(body.get("error_code", "") == expected, body)

    return step


def _page(path: str, expected: str, **fields: str) -> Step:
    async def step(calls: NumberCalls) -> None:
        _, body = await calls.call("POST", f"/v1/register{path}", {"phone": calls.number, **fields})
        must(body["errorCode"] == expected, body)

    return step


def _tel(method: str, path: str, expected: str, **fields: str) -> Step:
    async def step(calls: NumberCalls) -> None:
        _, body = await calls.call(method, path, {"tel": calls.tel, **fields})
        must(body.get("error", "") == expected, body)

    return step


def _native_send(purpose: str) -> Step:
    async def step(calls: NumberCalls) -> None:
        status, body = await calls.call("POST", "/v2/verifications", {"phone": calls.number, "purpose": purpose})
        must(status == 202, body)
        calls.returned = body

    return step


def _native_check(purpose: str, *, by_challenge: bool = False) -> Step:
    async def step(calls: NumberCalls) -> None:
        subject = {"phone": calls.number, "purpose": purpose}
        if by_challenge:
            subject = {"challenge": calls.returned["challenge"]}
        _, body = await calls.call("POST", "/v2/verifications/check", {**subject, "code": WRONG_CODE})
        must(body["code"] == "code_refused", body)

    return step


async def _native_log_in(calls: NumberCalls) -> None:
    _, body = await calls.call("POST", "/v2/sessions", {"phone": calls.number, "password": WRONG_PASSWORD})
    must(body["code"] == "credentials_refused", body)


async def _phone_info_send(calls: NumberCalls) -> None:
    _, body = await calls.call("POST", "/v1/user/sendRegisterMessage", {"phone": calls.number})
    must(body["code"] == "OK", body)
    calls.returned = body


async def _phone_info_register(calls: NumberCalls) -> None:
    fields = {"name": "ada", "password": "secret123", "code": WRONG_CODE, "phoneInfo": calls.returned["result"]}
    _, body = await calls.call("POST", "/v1/user/register", fields)
    must(body["code"] == "PHONE_NOT_VALIDATE", body)


def _tel_send(action: str) -> Step:
    return _tel("POST", "/actions/sms", "", action=action)


def _tel_code(method: str, path: str) -> Step:
    return _tel(method, path, "验证码错误，请重新输入。", password="secret123", captcha=WRONG_CODE)


PASSWORD = md5("secret123")
MAITIAN_VERIFY = _maitian("register/verify", "10001", verify_code=WRONG_CODE)
MAITIAN_RESET = _maitian("reset_password", "20002", verify_code=WRONG_CODE, password=PASSWORD)

FLOWS = [
    Flow("log in, maitian", [("wrong password", _maitian("login", "20000", password=md5(WRONG_PASSWORD)))]),
    Flow(
        "log in, tel",
        [("wrong password", _tel("POST", "/users/signin", "用户不存在或密码错误。", password=WRONG_PASSWORD))],
    ),
    Flow("log in, native", [("wrong password", _native_log_in)]),
    Flow("register, maitian", [("send", _maitian("register/verify_code", "")), ("wrong code", MAITIAN_VERIFY)]),
    Flow("register, phone_info", [("send", _phone_info_send), ("wrong code", _phone_info_register)]),
    Flow(
        "register, register_page",
        [
            ("checkPhone", _page("/checkPhone", "0000")),
            ("send", _page("/sendCode", "0000")),
            ("wrong code", _page("", "1004", vcode=WRONG_CODE, password="secret123")),
        ],
    ),
    Flow("register, tel", [("send", _tel_send("signup")), ("wrong code", _tel_code("POST", "/users"))]),
    Flow(
        "register, native",
        [
            ("send", _native_send("sign_up")),
            ("wrong code", _native_check("sign_up")),
            ("wrong code, by challenge", _native_check("sign_up", by_challenge=True)),
        ],
    ),
    Flow("reset, maitian", [("send", _maitian("forgot_password", "")), ("wrong code", MAITIAN_RESET)]),
    Flow("reset, tel", [("send", _tel_send("resetPassword")), ("wrong code", _tel_code("PUT", "/users/password"))]),
    Flow(
        "reset, native",
        [
            ("send", _native_send("reset_password")),
            ("wrong code", _native_check("reset_password")),
            ("wrong code, by challenge", _native_check("reset_password", by_challenge=True)),
        ],
    ),
    Flow("log in by code, native", [("send", _native_send("sign_in")), ("wrong code", _native_check("sign_in"))]),
    Flow(
        "nothing requested", [("wrong code, maitian", MAITIAN_VERIFY), ("wrong code, native", _native_check("sign_in"))]
    ),
]
