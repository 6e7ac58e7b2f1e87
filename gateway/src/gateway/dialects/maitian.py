"""maitian: GET or POST ``*.json``, ``"success": "true"`` as a string, HTTP 200 even for refusals, numbered errors.

Registration numbers its refusals 1xxxx, log-in and password reset 2xxxx. Passwords are md5 hex.
"""

import re
from functools import partial
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from gateway.dialect import Dialect, admit_body, flows, session_of_token
from gateway.flows import refusals
from gateway.flows.numbers import national_number
from gateway.http.operations import FieldDoc, ResponseBody, Routes
from gateway.http.request_parsing import (
    ClientName,
    Entries,
    Parameters,
    Text,
    UserId,
    read_parameters,
    read_unchecked,
    refuse_prefetch,
)
from gateway.http.responses import ENVELOPE_STATUS, json_response
from gateway.http.session_tokens import bearer
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LoggedIn
from shared.internal_api.sms import Purpose

MAX_CONTACTS_BYTES = 256 * 1024

Md5 = Annotated[Text, Field(json_schema_extra={"pattern": "^[0-9a-fA-F]{32}$"})]
True_ = Literal["true"]

routes = Routes()


class SendCode(Parameters):
    source: ClientName
    phone_number: Text


class CheckCode(SendCode):
    verify_code: Text


class Register(SendCode):
    pwd: Text
    tmp_token: Text


class LogIn(SendCode):
    password: Md5


class ResetPassword(LogIn):
    verify_code: Text


class CheckContact(Parameters):
    source: ClientName
    user_id: Annotated[UserId, Field(alias="userId")]
    token: Annotated[Text | None, Field(examples=["sadfgasdgeradfx"])] = None
    phone_numbers: Annotated[Entries, Field(alias="phoneNumbers")]


class Refusal(ResponseBody):
    error_code: str
    error_message: str


class Done(ResponseBody):
    success: True_ = "true"


class TmpToken(ResponseBody):
    tmp_token: str


class Checked(Done):
    data: TmpToken


class RegisteredUser(ResponseBody):
    userId: int
    nickName: str
    createTime: str
    portraitSmall: str
    portrait: str
    phone: str
    phoneNumber: str
    coverImg: str
    token: str


class Registered(Done):
    data: RegisteredUser


class Contact(ResponseBody):
    phone: str
    nickName: str
    portrait: str


class Contacts(Done):
    data: list[Contact]


class User(ResponseBody):
    user_id: str
    nick_name: str
    create_time: str
    avatar_thumnail: str
    avatar: str
    phone_number: str
    cover_img: str
    token: str


class ResetCodeSent(ResponseBody):
    verify_code: str


@routes.on(
    "GET POST", "/v1/user/register/verify_code.json", takes=SendCode, returns=Done, refuses=refusals.SEND_REGISTER_CODE
)
async def send_registration_code(request: web.Request) -> web.Response:
    """请求验证码: send a code to register with."""
    refuse_prefetch(request)
    fields = await read_parameters(request, SendCode, also_query=True)
    number = flows(request).numbers.parse(fields.phone_number)
    await flows(request).codes.send(DIALECT.caller(request, fields.source), number, Purpose.SIGN_UP)
    return json_response(Done())


@routes.on(
    "GET POST", "/v1/user/register/verify.json", takes=CheckCode, returns=Checked, refuses=refusals.CHECK_REGISTER_CODE
)
async def check_registration_code(request: web.Request) -> web.Response:
    """校验验证码: exchange the code for a ``tmp_token``, valid for ten minutes and one account."""
    refuse_prefetch(request)
    fields = await read_parameters(request, CheckCode, also_query=True)
    number = flows(request).numbers.parse(fields.phone_number)
    checked = await flows(request).codes.check_before_registration(
        DIALECT.caller(request, fields.source), number, fields.verify_code
    )
    return json_response(Checked(data=TmpToken(tmp_token=checked.ticket)))


@routes.on("POST", "/v1/user/register/new_user.json", takes=Register, returns=Registered, refuses=refusals.REGISTER)
async def register(request: web.Request) -> web.Response:
    """设置密码并创建用户: create the account. ``pwd`` is the plain text or its md5 hex."""
    fields = await read_parameters(request, Register)
    number = flows(request).numbers.parse(fields.phone_number)
    password = Password.from_either(fields.pwd)
    caller = DIALECT.caller(request, fields.source)
    logged_in = await flows(request).accounts.register(caller, number, password, fields.tmp_token)
    return json_response(Registered(data=_new_user(logged_in)))


@routes.on(
    "POST",
    "/v1/user/register/check_contact.json",
    takes=CheckContact,
    returns=Contacts,
    refuses=refusals.MATCH,
    login="optional",
)
async def check_contact(request: web.Request) -> web.Response:
    """获取手机联系人中已注册用户信息: find the registered numbers in a list.

    Each is listed once, in the order of the request, without the user's own. The session's token is the parameter
    ``token`` or the bearer token.
    """
    admit = partial(admit_body, request, "token")
    unchecked = await read_unchecked(request, CheckContact, max_bytes=MAX_CONTACTS_BYTES, admit=admit)
    session = await session_of_token(request, unchecked.text("token") or bearer(request), "token")
    fields = unchecked.checked()
    if session.account.user_id != fields.user_id:
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    matched = await flows(request).self_service.match_contacts(session, fields.phone_numbers)
    data = [{"phone": m["phone"], "nickName": m["nickname"], "portrait": m["avatar"]} for m in matched.matches]
    return json_response({"success": "true", "data": data})


@routes.on("POST", "/v1/user/login.json", takes=LogIn, returns=User, refuses=refusals.LOG_IN_WITH_PASSWORD)
async def log_in(request: web.Request) -> web.Response:
    """登录: log in. ``password`` is the md5 hex of the password."""
    fields = await read_parameters(request, LogIn)
    password = Password.from_md5(fields.password)
    number = flows(request).numbers.parse(fields.phone_number)
    logged_in = await flows(request).sessions.log_in_with_password(
        DIALECT.caller(request, fields.source), number, password
    )
    return json_response(_user(logged_in))


@routes.on(
    "GET POST", "/v1/user/forgot_password.json", takes=SendCode, returns=ResetCodeSent, refuses=refusals.SEND_RESET_CODE
)
async def send_reset_code(request: web.Request) -> web.Response:
    """忘记密码: send a code to reset the password. ``verify_code`` is empty outside development."""
    refuse_prefetch(request)
    fields = await read_parameters(request, SendCode, also_query=True)
    number = flows(request).numbers.parse(fields.phone_number)
    issued = await flows(request).codes.send(DIALECT.caller(request, fields.source), number, Purpose.RESET_PASSWORD)
    return json_response(ResetCodeSent(verify_code=issued.code))


@routes.on("POST", "/v1/user/reset_password.json", takes=ResetPassword, returns=User, refuses=refusals.RESET_PASSWORD)
async def reset_password(request: web.Request) -> web.Response:
    """重置密码: set a new password, as md5 hex; all earlier sessions end."""
    fields = await read_parameters(request, ResetPassword)
    password = Password.from_md5(fields.password)
    number = flows(request).numbers.parse(fields.phone_number)
    caller = DIALECT.caller(request, fields.source)
    logged_in = await flows(request).accounts.reset_password(caller, number, password, fields.verify_code)
    return json_response(_user(logged_in))


def _new_user(logged_in: LoggedIn) -> RegisteredUser:
    account = logged_in.account
    number = national_number(account)
    return RegisteredUser(
        userId=account.user_id,
        nickName=account.nickname,
        createTime=str(int(account.created_at.timestamp())),
        portraitSmall=account.thumbnail,
        portrait=account.avatar,
        phone=number,
        phoneNumber=number,
        coverImg=account.cover,
        token=logged_in.token,
    )


def _user(logged_in: LoggedIn) -> User:
    account = logged_in.account
    return User(
        user_id=str(account.user_id),
        nick_name=account.nickname,
        create_time=str(int(account.created_at.timestamp())),
        avatar_thumnail=account.thumbnail,
        avatar=account.avatar,
        phone_number=national_number(account),
        cover_img=account.cover,
        token=logged_in.token,
    )


TAKEN = ("10000", "手机号已被使用")
WRONG_CODE = ("10001", "验证码错误")
BAD_NUMBER = ("10002", "手机号格式错误")
TOO_OFTEN = ("10003", "发送过于频繁，请稍后再试")
DAILY_CAP = ("10004", "今日发送次数已达上限")
BAD_PARAMETER = ("10005", "参数错误")
BAD_PASSWORD = ("10006", "密码不符合要求")
LOG_IN_FIRST = ("10007", "请先登录")
BUSY = ("10010", "系统繁忙，请稍后再试")
NO_SUCH_NUMBER = ("20001", "手机号错误")

REGISTRATION: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.PARAMETER_MISSING: BAD_PARAMETER,
    ErrorCode.PARAMETER_INVALID: BAD_PARAMETER,
    ErrorCode.NUMBER_REFUSED: BAD_NUMBER,
    ErrorCode.PASSWORD_CHARACTERS: BAD_PASSWORD,
    ErrorCode.PASSWORD_LENGTH: BAD_PASSWORD,
    ErrorCode.NUMBER_TAKEN: TAKEN,
    ErrorCode.NAME_TAKEN: TAKEN,
    ErrorCode.NO_ACCOUNT: LOG_IN_FIRST,
    ErrorCode.CODE_REFUSED: WRONG_CODE,
    ErrorCode.CREDENTIALS_REFUSED: LOG_IN_FIRST,
    ErrorCode.PROOF_REQUIRED: LOG_IN_FIRST,
    ErrorCode.ACCOUNT_BANNED: LOG_IN_FIRST,
    ErrorCode.UNAUTHENTICATED: LOG_IN_FIRST,
    ErrorCode.APP_KEY_REFUSED: BAD_PARAMETER,
    ErrorCode.COOLDOWN: TOO_OFTEN,
    ErrorCode.DAILY_CAP: DAILY_CAP,
    ErrorCode.CALLER_LIMIT: TOO_OFTEN,
    ErrorCode.SENDING_PAUSED: BUSY,
    ErrorCode.TOO_MANY_CONTACTS: ("10008", "联系人数量超过限制"),
    ErrorCode.CONTACT_BUDGET: ("10009", "查询过于频繁，请稍后再试"),
    ErrorCode.NOT_FOUND: BAD_PARAMETER,
    ErrorCode.METHOD_NOT_ALLOWED: BAD_PARAMETER,
    ErrorCode.UNAVAILABLE: BUSY,
    ErrorCode.INTERNAL: BUSY,
}

LOG_IN: dict[ErrorCode, tuple[str, str]] = {
    code: (number.replace("1", "2", 1), text) for code, (number, text) in REGISTRATION.items()
} | {
    ErrorCode.NUMBER_REFUSED: NO_SUCH_NUMBER,
    ErrorCode.NO_ACCOUNT: NO_SUCH_NUMBER,
    ErrorCode.NUMBER_TAKEN: NO_SUCH_NUMBER,
    ErrorCode.NAME_TAKEN: NO_SUCH_NUMBER,
    ErrorCode.CODE_REFUSED: ("20002", "验证码错误"),
    ErrorCode.CREDENTIALS_REFUSED: ("20000", "密码错误"),
    ErrorCode.UNAUTHENTICATED: ("20000", "密码错误"),
    ErrorCode.ACCOUNT_BANNED: ("20007", "账号已被停用"),
}


def render_error(error: ServiceError, path: str) -> web.Response:
    """Render the refusal with the numbers of the module that owns the path."""
    table = REGISTRATION if path.startswith("/v1/user/register/") else LOG_IN
    number, text = table[error.code]
    body = Refusal(error_code=number, error_message=text)
    return json_response(body, status=ENVELOPE_STATUS.get(error.code, 200), error=error)


FIELDS = {
    "source": FieldDoc("The name of the app.", "Android"),
    "phone_number": FieldDoc("手机号: the number, in any spelling; without a country, one of +86.", "13010001000"),
    "verify_code": FieldDoc("验证码: the six digits of the message.", "123456"),
    "ResetCodeSent.verify_code": FieldDoc("The code in development, otherwise empty.", ""),
    "tmp_token": FieldDoc("Proves for ten minutes that the number was verified.", "fafdstew3243rgfgfd"),
    "pwd": FieldDoc("密码: the password, or its md5 hex.", "secret123"),
    "password": FieldDoc("密码: the md5 hex of the password.", "5d7845ac6ee7cfffafc5fe5f35cf666d"),
    "success": FieldDoc("Always this text."),
    "data": FieldDoc("What the call returns."),
    "token": FieldDoc("The token of the session.", "1111redcsapoijfk0"),
    "userId": FieldDoc("The id of the user; a text of digits is accepted too.", 123456),
    "user_id": FieldDoc("The id of the user.", "123456"),
    **dict.fromkeys(("nickName", "nick_name"), FieldDoc("昵称: the nickname.", "张三")),
    **dict.fromkeys(("createTime", "create_time"), FieldDoc("When the user registered, in epoch seconds.", "44444876")),
    **dict.fromkeys(("portraitSmall", "avatar_thumnail"), FieldDoc("The small picture, or empty.", "http://baidu.com")),
    **dict.fromkeys(("portrait", "avatar"), FieldDoc("The address of the picture, or empty.", "http://google.com")),
    **dict.fromkeys(("phone", "phoneNumber"), FieldDoc("National digits for +86, otherwise E.164.", "13010001000")),
    "Contact.phone": FieldDoc("The number as the request has it.", "13010001000"),
    "phoneNumbers": FieldDoc("At most 2,000 entries of an address book.", ["13010001000", "15520967340"]),
    **dict.fromkeys(("coverImg", "cover_img"), FieldDoc("The cover picture, or empty.", "http://maitian.com")),
    "error_code": FieldDoc("The number of the refusal."),
    "error_message": FieldDoc("The text of the refusal.", "手机号格式错误"),
}

DIALECT = Dialect(
    name="maitian",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/v1/user/(register/.*|[^/]*\.json)"),
    render_error=render_error,
    refusal=Refusal,
    fields=FIELDS,
    refusal_code="error_code",
)
