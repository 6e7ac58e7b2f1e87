"""maitian: GET or POST ``*.json``, ``"success": "true"`` as a string, HTTP 200 even for refusals, numbered errors.

Two modules of one product: registration numbers its refusals 1xxxx, log-in 2xxxx. Passwords come as md5 hex.
"""

import re
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field

from gateway.dialect import Client, Dialect, Text, bearer, flows, json_response, refuse_prefetch
from gateway.flows import refusals
from gateway.operations import Answer, Routes
from gateway.passwords import Password
from gateway.request_parsing import Call, read_call
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, LoggedIn
from shared.internal_api.sms import Purpose
from shared.phone import E164, split

CONTACTS_BODY_BYTES = 256 * 1024

Digits = Annotated[str, Field(pattern="^[0-9]{1,16}$")]
Md5 = Annotated[Text, Field(json_schema_extra={"pattern": "^[0-9a-fA-F]{32}$"})]
True_ = Literal["true"]

routes = Routes()


class SendCode(Call):
    source: Client
    phone_number: Text


class CheckCode(SendCode):
    verify_code: Text


class NewUser(SendCode):
    pwd: Text
    tmp_token: Text


class LogIn(SendCode):
    password: Md5


class Reset(LogIn):
    verify_code: Text


def _digits(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value) else value


class CheckContact(Call):
    source: Client
    user_id: Annotated[int, BeforeValidator(_digits, json_schema_input_type=int | Digits), Field(alias="userId")]
    token: Annotated[Text | None, Field(examples=["sadfgasdgeradfx"])] = None
    phone_numbers: Annotated[list[Any], Field(alias="phoneNumbers")]


class Refusal(Answer):
    error_code: str
    error_message: str


class Sent(Answer):
    success: True_ = "true"


class TmpToken(Answer):
    tmp_token: str


class Checked(Sent):
    data: TmpToken


class NewUserShown(Answer):
    userId: int
    nickName: str
    createTime: str
    portraitSmall: str
    portrait: str
    phone: str
    phoneNumber: str
    coverImg: str
    token: str


class Registered(Sent):
    data: NewUserShown


class Contact(Answer):
    phone: str
    nickName: str
    portrait: str


class Contacts(Sent):
    data: list[Contact]


class User(Answer):
    user_id: str
    nick_name: str
    create_time: str
    avatar_thumnail: str
    avatar: str
    phone_number: str
    cover_img: str
    token: str


class ResetSent(Answer):
    verify_code: str


@routes.on(
    "GET POST", "/v1/user/register/verify_code.json", asks=SendCode, answers=Sent, refuses=refusals.SEND_SIGN_UP_CODE
)
async def send_sign_up_code(request: web.Request) -> web.Response:
    """请求验证码: send a code to sign up with."""
    refuse_prefetch(request)
    call = await read_call(request, SendCode)
    number = flows(request).number(call.phone_number)
    await flows(request).send_code(DIALECT.caller(request, call.source), number, Purpose.SIGN_UP)
    return json_response(Sent())


@routes.on(
    "GET POST", "/v1/user/register/verify.json", asks=CheckCode, answers=Checked, refuses=refusals.CHECK_SIGN_UP_CODE
)
async def check_sign_up_code(request: web.Request) -> web.Response:
    """校验验证码: trade the code for a ``tmp_token``, good for ten minutes and one account."""
    refuse_prefetch(request)
    call = await read_call(request, CheckCode)
    number = flows(request).number(call.phone_number)
    checked = await flows(request).verify_sign_up(DIALECT.caller(request, call.source), number, call.verify_code)
    return json_response(Checked(data=TmpToken(tmp_token=checked.ticket)))


@routes.on("POST", "/v1/user/register/new_user.json", asks=NewUser, answers=Registered, refuses=refusals.REGISTER)
async def register(request: web.Request) -> web.Response:
    """设置密码并创建用户: open the account. ``pwd`` is plain text, or its md5 hex."""
    call = await read_call(request, NewUser)
    number = flows(request).number(call.phone_number)
    password = Password.from_either(call.pwd)
    opened = await flows(request).register(DIALECT.caller(request, call.source), number, password, call.tmp_token)
    return json_response(Registered(data=_new_user(opened)))


@routes.on(
    "POST",
    "/v1/user/register/check_contact.json",
    asks=CheckContact,
    answers=Contacts,
    refuses=refusals.MATCH,
    login="optional",
)
async def check_contact(request: web.Request) -> web.Response:
    """获取手机联系人中已注册用户信息: which of these numbers are members.

    In the order asked, each once, without the caller's own. The session's token is in ``token`` or a header.
    """
    call = await read_call(request, CheckContact, body_bytes=CONTACTS_BODY_BYTES)
    token = call.token or bearer(request)
    if token is None:
        raise ServiceError(ErrorCode.PARAMETER_MISSING, field="token")
    session = await flows(request).session(token)
    if session.account.user_id != call.user_id:
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    matched = await flows(request).match_contacts(session, call.phone_numbers)
    data = [Contact(phone=m.phone, nickName=m.nickname, portrait=m.avatar) for m in matched.matches]
    return json_response(Contacts(data=data))


@routes.on("POST", "/v1/user/login.json", asks=LogIn, answers=User, refuses=refusals.LOG_IN)
async def log_in(request: web.Request) -> web.Response:
    """登录: open a session. ``password`` is the md5 hex of the password."""
    call = await read_call(request, LogIn)
    password = Password.from_md5(call.password)
    number = flows(request).number(call.phone_number)
    opened = await flows(request).log_in(DIALECT.caller(request, call.source), number, password)
    return json_response(_user(opened))


@routes.on(
    "GET POST", "/v1/user/forgot_password.json", asks=SendCode, answers=ResetSent, refuses=refusals.SEND_RESET_CODE
)
async def send_reset_code(request: web.Request) -> web.Response:
    """忘记密码: send a code to reset the password with. ``verify_code`` is empty outside development."""
    refuse_prefetch(request)
    call = await read_call(request, SendCode)
    number = flows(request).number(call.phone_number)
    issued = await flows(request).send_code(DIALECT.caller(request, call.source), number, Purpose.RESET_PASSWORD)
    return json_response(ResetSent(verify_code=issued.code))


@routes.on("POST", "/v1/user/reset_password.json", asks=Reset, answers=User, refuses=refusals.RESET_PASSWORD)
async def reset_password(request: web.Request) -> web.Response:
    """重置密码: set a new password, as md5 hex; every earlier session ends."""
    call = await read_call(request, Reset)
    password = Password.from_md5(call.password)
    number = flows(request).number(call.phone_number)
    caller = DIALECT.caller(request, call.source)
    opened = await flows(request).reset_password(caller, number, password, call.verify_code)
    return json_response(_user(opened))


def _new_user(opened: LoggedIn) -> NewUserShown:
    account = opened.account
    shown = _shown_number(account)
    return NewUserShown(
        userId=account.user_id,
        nickName=account.nickname,
        createTime=str(int(account.created_at.timestamp())),
        portraitSmall=account.thumbnail,
        portrait=account.avatar,
        phone=shown,
        phoneNumber=shown,
        coverImg=account.cover,
        token=opened.token,
    )


def _user(opened: LoggedIn) -> User:
    account = opened.account
    return User(
        user_id=str(account.user_id),
        nick_name=account.nickname,
        create_time=str(int(account.created_at.timestamp())),
        avatar_thumnail=account.thumbnail,
        avatar=account.avatar,
        phone_number=_shown_number(account),
        cover_img=account.cover,
        token=opened.token,
    )


def _shown_number(account: Account) -> str:
    code, national = split(E164(account.phone))
    return national if code == "86" else account.phone


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
    ErrorCode.ACCOUNT_BANNED: LOG_IN_FIRST,
    ErrorCode.UNAUTHENTICATED: LOG_IN_FIRST,
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

HTTP_STATUS = {
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.SENDING_PAUSED: 503,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 503,
}


def render_error(error: ServiceError, path: str) -> web.Response:
    """The refusal in the numbers of the module that the path belongs to."""
    table = REGISTRATION if path.startswith("/v1/user/register/") else LOG_IN
    number, text = table[error.code]
    body = Refusal(error_code=number, error_message=text)
    return json_response(body, status=HTTP_STATUS.get(error.code, 200), error=error)


EXAMPLES = {
    "source": "Android",
    "phone_number": "13010001000",
    "verify_code": "123456",
    "tmp_token": "fafdstew3243rgfgfd",
    "pwd": "secret123",
    "password": "5d7845ac6ee7cfffafc5fe5f35cf666d",
    "token": "1111redcsapoijfk0",
    "userId": 123456,
    "user_id": "123456",
    "nickName": "张三",
    "nick_name": "张三",
    "createTime": "44444876",
    "create_time": "44444876",
    "portraitSmall": "http://baidu.com",
    "avatar_thumnail": "http://baidu.com",
    "portrait": "http://google.com",
    "avatar": "http://google.com",
    "phone": "13010001000",
    "phoneNumber": "13010001000",
    "phoneNumbers": ["13010001000", "15520967340"],
    "coverImg": "http://maitian.com",
    "cover_img": "http://maitian.com",
}

DIALECT = Dialect(
    name="maitian",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/v1/user/(register/.*|[^/]*\.json)"),
    render_error=render_error,
    refusal=Refusal,
    examples=EXAMPLES,
)
