"""phone_info: registration in two calls; a sealed ``phoneInfo`` carries the number from the first to the second.

HTTP 200 for success, 400 for refusals and for outages; each body repeats its status.
"""

import re
import secrets
from datetime import datetime
from typing import Annotated, Literal

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from gateway.dialect import Dialect, flows
from gateway.flows import refusals
from gateway.flows.numbers import national_number
from gateway.http.operations import FieldDoc, ResponseBody, Routes
from gateway.http.request_parsing import Parameters, Text, read_parameters
from gateway.http.responses import json_response
from gateway.passwords import Password
from gateway.profiles import visible
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, LoginName
from shared.internal_api.sms import Purpose
from shared.numbers.spelling import clean
from shared.phone import MAINLAND

CountryCode = Annotated[
    str,
    StringConstraints(pattern=r"^(\+?0{0,3}[1-9][0-9]{0,6})?$"),
    BeforeValidator(lambda value: clean(value) if isinstance(value, str) else value),
]
"""A calling code, or one with an area code behind it, such as 1242: pickers of countries have both."""

routes = Routes()


class SendMessage(Parameters):
    countryCode: CountryCode | None = None
    phone: Text


class Register(Parameters):
    name: Annotated[LoginName, AfterValidator(visible)]
    password: Text
    code: Text
    phoneInfo: Text


class User(ResponseBody):
    uuid: int
    name: str
    email: str
    phone: str
    createTime: int
    ssid: str = ""
    level: int
    type: int
    ban: int
    banTime: int
    refreshTime: int
    lastLoginTime: int
    validateAddon: str = "{}"
    validated: int = Field(default=1, serialization_alias="validate")  # pydantic has a ``validate`` of its own
    version: int


class MessageSent(ResponseBody):
    status: Literal[200] = 200
    result: str
    code: Literal["OK"] = "OK"
    success: Literal[True] = True
    token: str


class Registered(ResponseBody):
    status: Literal[200] = 200
    result: User
    code: Literal["OK"] = "OK"
    success: Literal[True] = True
    token: str


class Refusal(ResponseBody):
    """``token`` is present with ``SEND_MESSAGE_FREQUENTLY`` only; it is random and grants nothing."""

    success: Literal[False] = False
    message: str
    code: str
    status: int
    token: str = Field(default="", exclude_if=lambda token: not token, examples=["..."])


@routes.on(
    "POST",
    "/v1/user/sendRegisterMessage",
    takes=SendMessage,
    returns=MessageSent,
    refuses=refusals.SEND_REGISTER_CODE,
)
async def send_register_message(request: web.Request) -> web.Response:
    """发送注册验证码: send a code to register with. ``result`` is the ``phoneInfo`` for the next call."""
    fields = await read_parameters(request, SendMessage)
    number = flows(request).numbers.parse(fields.phone, _country(fields.countryCode))
    await flows(request).codes.send(DIALECT.caller(request), number, Purpose.SIGN_UP)
    sealed = flows(request).numbers.seal(number, Purpose.SIGN_UP)
    return json_response(MessageSent(result=sealed, token=_token_without_rights()))


@routes.on("POST", "/v1/user/register", takes=Register, returns=Registered, refuses=refusals.REGISTER_WITH_NAME)
async def register(request: web.Request) -> web.Response:
    """注册新用户: create an account with the code and the ``phoneInfo``."""
    fields = await read_parameters(request, Register)
    number = flows(request).numbers.unseal(fields.phoneInfo, Purpose.SIGN_UP)
    password = Password.from_plain(fields.password)
    caller = DIALECT.caller(request)
    logged_in = await flows(request).accounts.register_with_code(
        caller, number, password, fields.code, name=fields.name
    )
    return json_response(Registered(result=_user(logged_in.account), token=logged_in.token))


def _country(code: str | None) -> str:
    """``86``, ``+86``, ``0086``, ``+0086``, empty and absent are the same country."""
    return (code or MAINLAND).lstrip("+0")


def _token_without_rights() -> str:
    """The contract returns a token before the user exists: it is random, not stored, and grants nothing."""
    return secrets.token_urlsafe(32)


def _user(account: Account) -> User:
    return User(
        uuid=account.user_id,
        name=account.name or "",
        email=account.email,
        phone=national_number(account),
        createTime=_milliseconds(account.created_at),
        level=account.level,
        type=account.type,
        ban=int(account.banned_at is not None),
        banTime=_milliseconds(account.banned_at) if account.banned_at else 0,
        refreshTime=_milliseconds(account.updated_at),
        lastLoginTime=_milliseconds(account.last_login_at),
        version=account.version,
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


PHONE_EXISTS = ("USER_PHONE_EXIST", "USER_PHONE_EXIST")
TOO_OFTEN = ("SEND_MESSAGE_FREQUENTLY", "SEND_MESSAGE_FREQUENTLY")
OUTAGE = ("SEND_MESSAGE_ERROR", "SEND_MESSAGE_ERROR")
BAD_PHONE = ("PHONE_NOT_VALIDATE", "Phone not validate")
BAD_PASSWORD = ("PASSWORD_NOT_VALIDATE", "Password not validate")
BAD_PARAMETER = ("PARAMETER_ERROR", "Parameter error")

REFUSALS: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.PARAMETER_MISSING: BAD_PARAMETER,
    ErrorCode.PARAMETER_INVALID: BAD_PARAMETER,
    ErrorCode.NUMBER_REFUSED: BAD_PHONE,
    ErrorCode.PASSWORD_CHARACTERS: BAD_PASSWORD,
    ErrorCode.PASSWORD_LENGTH: BAD_PASSWORD,
    ErrorCode.NUMBER_TAKEN: PHONE_EXISTS,
    ErrorCode.NAME_TAKEN: ("USER_NAME_EXIST", "User name exists"),
    ErrorCode.NO_ACCOUNT: BAD_PHONE,
    ErrorCode.CODE_REFUSED: BAD_PHONE,
    ErrorCode.CREDENTIALS_REFUSED: BAD_PASSWORD,
    ErrorCode.PROOF_REQUIRED: BAD_PARAMETER,
    ErrorCode.ACCOUNT_BANNED: PHONE_EXISTS,
    ErrorCode.UNAUTHENTICATED: BAD_PARAMETER,
    ErrorCode.APP_KEY_REFUSED: BAD_PARAMETER,
    ErrorCode.COOLDOWN: TOO_OFTEN,
    ErrorCode.DAILY_CAP: TOO_OFTEN,
    ErrorCode.CALLER_LIMIT: TOO_OFTEN,
    ErrorCode.SENDING_PAUSED: OUTAGE,
    ErrorCode.TOO_MANY_CONTACTS: BAD_PARAMETER,
    ErrorCode.CONTACT_BUDGET: TOO_OFTEN,
    ErrorCode.NOT_FOUND: BAD_PARAMETER,
    ErrorCode.METHOD_NOT_ALLOWED: BAD_PARAMETER,
    ErrorCode.UNAVAILABLE: OUTAGE,
    ErrorCode.INTERNAL: OUTAGE,
}

HTTP_STATUS = {ErrorCode.NOT_FOUND: 404, ErrorCode.METHOD_NOT_ALLOWED: 405}


def render_error(error: ServiceError, path: str) -> web.Response:
    """Render the refusal with its name; a taken number and a missing field depend on the call."""
    code, message = REFUSALS[error.code]
    if error.code is ErrorCode.PARAMETER_MISSING and error.field:
        code = message = f"{error.field.upper()}_REQUIRED"
    if error.code is ErrorCode.NUMBER_TAKEN and path != "/v1/user/register":
        message = "User Phone exists"
    status = HTTP_STATUS.get(error.code, 400)
    token = _token_without_rights() if code == TOO_OFTEN[0] else ""
    body = Refusal(message=message, code=code, status=status, token=token)
    return json_response(body, status=status, error=error)


PHONE_INFO = (
    "T0RZLi5xenktc3AtdG9rZW5ANmNzOTJkLXRva2VuLk1UTTJNamN4TkRBME9ETS4ucXp5LXNwLXRva2VuQDZjczkyZC10b2tlbi5NVEEu"
    "LnF6eS1zcC10b2tlbkA2Y3M5MmQtdG9rZW4uYzIzMGY0MjQxNmY5YzhhNGIzYzkwZGFkNjk1N2NjZmU."
)
FIELDS = {
    "countryCode": FieldDoc("国家码: such as `86`, `+86` or `0086`, which is the default.", "86"),
    "phone": FieldDoc("手机号: the number, in any spelling. Responses have national digits for +86.", "13800138001"),
    "MessageSent.result": FieldDoc("The `phoneInfo` of the next call.", PHONE_INFO),
    "phoneInfo": FieldDoc("The `result` of the call before, valid for ten minutes.", PHONE_INFO),
    "token": FieldDoc("The token of the session. It grants nothing before registration.", "..."),
    "MessageSent.code": FieldDoc("Always this text."),
    "Registered.code": FieldDoc("Always this text."),
    "code": FieldDoc("验证码: the six digits of the message.", "119614"),
    "Refusal.code": FieldDoc("The name of the refusal."),
    "message": FieldDoc("The text of the refusal.", "User Phone exists"),
    "success": FieldDoc("Whether the call succeeded."),
    "status": FieldDoc("The HTTP status.", 400),
    "result": FieldDoc("The new user."),
    "name": FieldDoc("用户名: 1 to 32 characters, unique ignoring case.", "eric"),
    "password": FieldDoc("密码: 6 to 128 printable ASCII characters, not the number.", "secret123"),
    "uuid": FieldDoc("The id of the user.", 1),
    "email": FieldDoc("Empty.", ""),
    "createTime": FieldDoc("When the account was created, in epoch milliseconds.", 1517062790578),
    "ssid": FieldDoc("Empty.", ""),
    "level": FieldDoc("The level of the user.", 0),
    "type": FieldDoc("The type of the user.", 0),
    "ban": FieldDoc("1 if the account is banned, otherwise 0.", 0),
    "banTime": FieldDoc("When it was banned, in epoch milliseconds, or 0.", 0),
    "refreshTime": FieldDoc("When the account was last changed, in epoch milliseconds.", 1519983725319),
    "lastLoginTime": FieldDoc("When the user last logged in, in epoch milliseconds.", 1519983725319),
    "validateAddon": FieldDoc("Always an empty object, as a text.", "{}"),
    "validate": FieldDoc("1: the number is verified.", 1),
    "version": FieldDoc("The version of the account.", 1),
}

DIALECT = Dialect(
    name="phone_info",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/v1/user/(?!register/|[^/]*\.json$).*"),
    render_error=render_error,
    refusal=Refusal,
    fields=FIELDS,
    refusal_code="code",
    cooldown=120,
)
