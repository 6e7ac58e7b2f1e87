"""register_page: three calls of a web page; HTTP 200 always, and an envelope of exactly four keys.

``success`` is a string, codes are four characters, ``data`` is always null.
"""

import re
from typing import Annotated, Literal

from aiohttp import web
from pydantic import WithJsonSchema

from gateway.dialect import Dialect, flows
from gateway.flows import refusals
from gateway.http.operations import FieldDoc, ResponseBody, Routes
from gateway.http.request_parsing import Parameters, Text, read_parameters
from gateway.http.responses import ENVELOPE_STATUS, json_response
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose

routes = Routes()


class Phone(Parameters):
    phone: Text


class Register(Phone):
    vcode: Text
    password: Text


class Envelope(ResponseBody):
    success: Literal["true", "false"]
    errorCode: str
    msg: str
    data: Annotated[None, WithJsonSchema({"type": ["string", "null"]})] = None


class Done(Envelope):
    success: Literal["true"] = "true"
    errorCode: Literal["0000"] = "0000"


class Refusal(Envelope):
    success: Literal["false"] = "false"


SENT = Done(msg="验证码发送成功")
FREE = Done(msg="手机号可用")
REGISTERED = Done(msg="注册成功")


@routes.on("POST", "/v1/register/sendCode", takes=Phone, returns=SENT, refuses=refusals.SEND_REGISTER_CODE)
async def send_code(request: web.Request) -> web.Response:
    """获取注册验证码: send a code to register with."""
    fields = await read_parameters(request, Phone)
    number = flows(request).numbers.parse(fields.phone)
    await flows(request).codes.send(DIALECT.caller(request), number, Purpose.SIGN_UP)
    return json_response(SENT)


@routes.on("POST", "/v1/register/checkPhone", takes=Phone, returns=FREE, refuses=refusals.CHECK_FREE)
async def check_phone(request: web.Request) -> web.Response:
    """验证手机号是否可用: check whether this number can register now."""
    fields = await read_parameters(request, Phone)
    number = flows(request).numbers.parse(fields.phone)
    await flows(request).codes.check_free(DIALECT.caller(request), number)
    return json_response(FREE)


@routes.on("POST", "/v1/register", takes=Register, returns=REGISTERED, refuses=refusals.REGISTER)
async def register(request: web.Request) -> web.Response:
    """使用手机号注册: create an account with the code."""
    fields = await read_parameters(request, Register)
    number = flows(request).numbers.parse(fields.phone)
    password = Password.from_plain(fields.password)
    await flows(request).accounts.register_with_code(DIALECT.caller(request), number, password, fields.vcode)
    return json_response(REGISTERED)


BAD_NUMBER = ("1001", "手机号格式不正确")
TOO_SOON = ("1002", "同一手机号60秒内只能发送一次验证码")
TAKEN = ("1003", "手机已注册")
TAKEN_AT_REGISTRATION = ("1003", "手机号已注册")
WRONG_CODE = ("1004", "验证码不正确")
DAILY_CAP = ("1005", "今日发送次数已达上限")
BAD_PASSWORD = ("1006", "密码不符合要求")
BAD_PARAMETER = ("1007", "参数错误")
TOO_OFTEN = ("1008", "操作过于频繁，请稍后再试")
BUSY = ("1099", "系统繁忙，请稍后再试")

REFUSALS: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.PARAMETER_MISSING: BAD_PARAMETER,
    ErrorCode.PARAMETER_INVALID: BAD_PARAMETER,
    ErrorCode.NUMBER_REFUSED: BAD_NUMBER,
    ErrorCode.PASSWORD_CHARACTERS: BAD_PASSWORD,
    ErrorCode.PASSWORD_LENGTH: BAD_PASSWORD,
    ErrorCode.NUMBER_TAKEN: TAKEN,
    ErrorCode.NAME_TAKEN: TAKEN,
    ErrorCode.NO_ACCOUNT: BAD_NUMBER,
    ErrorCode.CODE_REFUSED: WRONG_CODE,
    ErrorCode.CREDENTIALS_REFUSED: BAD_PASSWORD,
    ErrorCode.PROOF_REQUIRED: BAD_PARAMETER,
    ErrorCode.ACCOUNT_BANNED: TAKEN,
    ErrorCode.UNAUTHENTICATED: BAD_PARAMETER,
    ErrorCode.APP_KEY_REFUSED: BAD_PARAMETER,
    ErrorCode.COOLDOWN: TOO_SOON,
    ErrorCode.DAILY_CAP: DAILY_CAP,
    ErrorCode.CALLER_LIMIT: TOO_OFTEN,
    ErrorCode.SENDING_PAUSED: BUSY,
    ErrorCode.TOO_MANY_CONTACTS: BAD_PARAMETER,
    ErrorCode.CONTACT_BUDGET: TOO_OFTEN,
    ErrorCode.NOT_FOUND: BAD_PARAMETER,
    ErrorCode.METHOD_NOT_ALLOWED: BAD_PARAMETER,
    ErrorCode.UNAVAILABLE: BUSY,
    ErrorCode.INTERNAL: BUSY,
}


def render_error(error: ServiceError, path: str) -> web.Response:
    """Render the refusal with its code; the text for a taken number depends on the call."""
    code, text = REFUSALS[error.code]
    if (code, text) == TAKEN and path == "/v1/register":
        code, text = TAKEN_AT_REGISTRATION
    return json_response(Refusal(errorCode=code, msg=text), status=ENVELOPE_STATUS.get(error.code, 200), error=error)


FIELDS = {
    "phone": FieldDoc("手机号: the number, in any spelling; without a country, one of +86.", "13800138001"),
    "vcode": FieldDoc("验证码: the six digits of the message.", "119614"),
    "password": FieldDoc("密码: 6 to 128 printable ASCII characters, not the number.", "secret123"),
    "success": FieldDoc("Whether the call succeeded, as a text."),
    "errorCode": FieldDoc("`0000`, or the number of the refusal."),
    "msg": FieldDoc("What happened.", "验证码发送成功"),
    "data": FieldDoc("Always null.", None),
}

DIALECT = Dialect(
    name="register_page",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/v1/register(/.*)?"),
    render_error=render_error,
    refusal=Refusal,
    fields=FIELDS,
    refusal_code="errorCode",
)
