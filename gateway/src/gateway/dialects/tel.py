"""tel: numbers as ``{dialCode, number}``, bare bodies for success, HTTP status = body code, errors with a timestamp.

Bodies have no field for a token: it travels both ways as an ``Authorization`` header and as a cookie.
"""

import re
import time
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.dialect import Dialect, flows
from gateway.flows import refusals
from gateway.flows.session_cache import Session
from gateway.http.operations import FieldDoc, ResponseBody, Routes
from gateway.http.request_parsing import Parameters, Text, read_parameters, read_unchecked
from gateway.http.responses import json_of, json_response, rendered_response
from gateway.http.session_tokens import add_token, bearer, cookies
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, Gender, LoggedIn
from shared.internal_api.sms import Purpose
from shared.numbers.spelling import clean
from shared.phone import E164, split

MAX_COUNTRY = 10**7
MAX_NUMBER = 10**15
CODE_DIGITS = 6

ACTIONS = {
    "signup": Purpose.SIGN_UP,
    "resetPassword": Purpose.RESET_PASSWORD,
    "resetPhone": Purpose.CHANGE_PHONE,
}
GENDERS: dict[Gender, Literal["none", "m", "f"]] = {Gender.NONE: "none", Gender.FEMALE: "m", Gender.MALE: "f"}
"""The contract defines it so: ``m`` is female and ``f`` is male."""

routes = Routes()


def _integer(value: Any) -> Any:
    """Accept an integer as text in any spelling of its digits. Zeros in front are an exit code, as in ``0086``."""
    digits = clean(value) if isinstance(value, str) else ""
    return int(digits) if re.fullmatch("[0-9]{1,20}", digits) else value


def _code(value: Any) -> Any:
    """Restore the leading zeros that a JSON number loses."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**CODE_DIGITS:
        return f"{value:0{CODE_DIGITS}d}"
    return value


def _digits(text: str) -> str:
    """Refuse a text that has more than digits and a plus sign, once separators are dropped."""
    if not re.fullmatch(r"\+?[0-9]{1,20}", clean(text)):
        raise ValueError("a number is digits")
    return text


DialCode = Annotated[int, Field(ge=0, lt=MAX_COUNTRY), BeforeValidator(_integer)]
"""A calling code, or one with an area code behind it, such as 1242: pickers of countries have both."""
NationalNumber = Annotated[
    Annotated[int, Field(ge=0, lt=MAX_NUMBER)] | Annotated[Text, AfterValidator(_digits)],
    WithJsonSchema({"type": "integer", "format": "int64", "minimum": 0, "exclusiveMaximum": MAX_NUMBER}),
]
"""A JSON number, or a text in any spelling."""
Captcha = Annotated[Text, BeforeValidator(_code, json_schema_input_type=Text)]


class Tel(Parameters):
    dialCode: DialCode
    number: NationalNumber


class WithTel(Parameters):
    tel: Tel

    @model_validator(mode="before")
    @classmethod
    def _from_a_form(cls, fields: Any) -> Any:
        """Accept the number in a form: ``tel[dialCode]=86&tel[number]=…``."""
        if isinstance(fields, dict) and "tel" not in fields:
            parts = {name: fields[f"tel[{name}]"] for name in Tel.model_fields if f"tel[{name}]" in fields}
            return {**fields, "tel": parts} if parts else fields
        return fields


class SendCode(WithTel):
    action: Annotated[Text, Field(json_schema_extra={"enum": [*ACTIONS]})]


class LogIn(WithTel):
    password: Text


class PasswordWithCode(LogIn):
    captcha: Captcha


class ChangeNumber(WithTel):
    captcha: Captcha
    oldCaptcha: Captcha


class Number(ResponseBody):
    dialCode: int
    number: int


class CodeSent(ResponseBody):
    tel: Number
    action: str


class User(ResponseBody):
    userId: int
    nickName: str
    tel: Number
    avatar: str | None
    gender: Literal["none", "m", "f"]
    signature: str | None


class Refusal(ResponseBody):
    timestamp: Annotated[int, Field(examples=[1449949634821])]
    code: int
    error: str


@routes.on("POST", "/actions/sms", takes=SendCode, returns=CodeSent, refuses=refusals.SEND_ANY_CODE, login="optional")
async def send_code(request: web.Request) -> web.Response:
    """发送验证码: send a code. ``action`` is ``signup``, ``resetPassword`` or ``resetPhone``.

    With a session, ``resetPhone`` for a number other than the user's own sends the code for their new number.
    """
    fields = await read_parameters(request, SendCode)
    purpose = _purpose(fields.action)
    number = _number(request, fields.tel)
    session = await _session_if_any(request) if purpose is Purpose.CHANGE_PHONE else None
    await flows(request).codes.send(DIALECT.caller(request), number, purpose, session=session)
    return json_response(CodeSent(tel=_tel(number), action=fields.action))


@routes.on("POST", "/users", takes=PasswordWithCode, returns=User, refuses=refusals.REGISTER, returns_token=True)
async def register(request: web.Request) -> web.Response:
    """手机注册: create an account with the code."""
    fields = await read_parameters(request, PasswordWithCode)
    number = _number(request, fields.tel)
    password = Password.from_plain(fields.password)
    logged_in = await flows(request).accounts.register_with_code(
        DIALECT.caller(request), number, password, fields.captcha
    )
    return _user_with_token(request, logged_in)


@routes.on(
    "POST", "/users/signin", takes=LogIn, returns=User, refuses=refusals.LOG_IN_WITH_PASSWORD, returns_token=True
)
async def log_in(request: web.Request) -> web.Response:
    """手机登录: log in."""
    fields = await read_parameters(request, LogIn)
    number = _number(request, fields.tel)
    password = Password.from_plain(fields.password)
    logged_in = await flows(request).sessions.log_in_with_password(DIALECT.caller(request), number, password)
    return _user_with_token(request, logged_in)


@routes.on("GET", "/users/{userId}", returns=User, refuses=[ErrorCode.NOT_FOUND], login="optional", reads=True)
async def read_user(request: web.Request) -> web.Response:
    """取得用户详情: get the user's own account. Any other id, and any call without a session, is 404."""
    session = await _session_if_any(request)
    if session is None or not _is_own(request, session):
        raise ServiceError(ErrorCode.NOT_FOUND)
    return rendered_response(session.body(_rendered))


@routes.on(
    "PUT", "/users/password", takes=PasswordWithCode, returns=User, refuses=refusals.RESET_PASSWORD, returns_token=True
)
async def reset_password(request: web.Request) -> web.Response:
    """重置密码: set a new password with a ``resetPassword`` code; all earlier sessions end."""
    fields = await read_parameters(request, PasswordWithCode)
    number = _number(request, fields.tel)
    password = Password.from_plain(fields.password)
    logged_in = await flows(request).accounts.reset_password(DIALECT.caller(request), number, password, fields.captcha)
    return _user_with_token(request, logged_in)


@routes.on(
    "PUT", "/users/{userId}/tel", takes=ChangeNumber, returns=User, refuses=refusals.CHANGE_NUMBER, login="required"
)
async def change_number(request: web.Request) -> web.Response:
    """绑定手机号: change the number with two ``resetPhone`` codes, one for the old and one for the new number."""
    unchecked = await read_unchecked(request, ChangeNumber)
    session = await _session_if_any(request)
    if session is None or not _is_own(request, session):
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    fields = unchecked.checked()
    number = _number(request, fields.tel)
    caller = DIALECT.caller(request)
    account = await flows(request).self_service.change_number_with_codes(
        caller, session, number, old_code=fields.oldCaptcha, new_code=fields.captcha
    )
    return json_response(_user(account))


def _purpose(action: str) -> Purpose:
    if action not in ACTIONS:
        raise ServiceError(ErrorCode.PARAMETER_INVALID, field="action")
    return ACTIONS[action]


def _number(request: web.Request, tel: Tel) -> E164:
    """The number. A JSON number lost its leading zeros, which some mobile numbers have; so did a text made of one."""
    country = str(tel.dialCode)
    try:
        return flows(request).numbers.parse(str(tel.number), country)
    except ServiceError:
        if isinstance(tel.number, str) and not re.fullmatch("[1-9][0-9]*", tel.number):
            raise
        return flows(request).numbers.parse(f"0{tel.number}", country)


async def _session_if_any(request: web.Request) -> Session | None:
    """The session of the header's or of a cookie's token. An invalid token counts as none."""
    for token in filter(None, (bearer(request), *cookies(request))):
        try:
            return await flows(request).sessions.resolve(token)
        except ServiceError as error:
            if error.code is not ErrorCode.UNAUTHENTICATED:
                raise
    return None


def _is_own(request: web.Request, session: Session) -> bool:
    return request.match_info["userId"] == str(session.account.user_id)


def _user_with_token(request: web.Request, logged_in: LoggedIn) -> web.Response:
    response = json_response(_user(logged_in.account))
    add_token(request, response, logged_in.token)
    return response


def _rendered(account: Account) -> bytes:
    return json_of(_user(account))


def _user(account: Account) -> User:
    return User(
        userId=account.user_id,
        nickName=account.nickname,
        tel=_tel(E164(account.phone)),
        avatar=account.avatar or None,
        gender=GENDERS[account.gender],
        signature=account.motto or None,
    )


def _tel(number: E164) -> Number:
    code, national = split(number)
    return Number(dialCode=int(code), number=int(national))


CODE_FOR_TAKEN_NUMBER = "您的手机号码已被注册了。"
USER_EXISTS = "用户已存在。"
NO_USER = "用户不存在。"
NO_SUCH_USER = "用户不存在"
WRONG_CODE = "验证码错误，请重新输入。"
BAD_PARAMETER = "请求参数错误。"
TOO_OFTEN = "验证码发送过于频繁，请稍后再试。"
LOG_IN_FIRST = "请先登录。"
BUSY = "系统繁忙，请稍后再试。"

REFUSALS: dict[ErrorCode, tuple[int, str]] = {
    ErrorCode.PARAMETER_MISSING: (403, BAD_PARAMETER),
    ErrorCode.PARAMETER_INVALID: (403, BAD_PARAMETER),
    ErrorCode.NUMBER_REFUSED: (403, "手机号格式不正确。"),
    ErrorCode.PASSWORD_CHARACTERS: (403, "请去除密码中的特殊字符。"),
    ErrorCode.PASSWORD_LENGTH: (403, "密码长度应为6到128位。"),
    ErrorCode.NUMBER_TAKEN: (403, CODE_FOR_TAKEN_NUMBER),
    ErrorCode.NAME_TAKEN: (403, USER_EXISTS),
    ErrorCode.NO_ACCOUNT: (403, NO_USER),
    ErrorCode.CODE_REFUSED: (403, WRONG_CODE),
    ErrorCode.CREDENTIALS_REFUSED: (403, "用户不存在或密码错误。"),
    ErrorCode.PROOF_REQUIRED: (403, LOG_IN_FIRST),
    ErrorCode.ACCOUNT_BANNED: (403, "账号已被停用。"),
    ErrorCode.UNAUTHENTICATED: (403, LOG_IN_FIRST),
    ErrorCode.APP_KEY_REFUSED: (403, BAD_PARAMETER),
    ErrorCode.COOLDOWN: (403, TOO_OFTEN),
    ErrorCode.DAILY_CAP: (403, "今日验证码发送次数已达上限。"),
    ErrorCode.CALLER_LIMIT: (403, TOO_OFTEN),
    ErrorCode.SENDING_PAUSED: (503, BUSY),
    ErrorCode.TOO_MANY_CONTACTS: (403, BAD_PARAMETER),
    ErrorCode.CONTACT_BUDGET: (403, TOO_OFTEN),
    ErrorCode.NOT_FOUND: (404, BAD_PARAMETER),
    ErrorCode.METHOD_NOT_ALLOWED: (405, BAD_PARAMETER),
    ErrorCode.UNAVAILABLE: (503, BUSY),
    ErrorCode.INTERNAL: (503, BUSY),
}

BY_PATH: dict[ErrorCode, tuple[re.Pattern[str], str]] = {
    ErrorCode.NUMBER_TAKEN: (re.compile("/users"), USER_EXISTS),
    ErrorCode.NOT_FOUND: (re.compile("/users/[^/]*"), NO_SUCH_USER),
}
"""Refusals whose text differs for some paths."""


def render_error(error: ServiceError, path: str) -> web.Response:
    """Render the refusal with a timestamp (epoch milliseconds), its HTTP status and its text."""
    status, text = REFUSALS[error.code]
    pattern, other_text = BY_PATH.get(error.code, (None, text))
    if pattern is not None and pattern.fullmatch(path):
        text = other_text
    body = Refusal(timestamp=int(time.time() * 1000), code=status, error=text)
    return json_response(body, status=status, error=error)


FIELDS = {
    "tel": FieldDoc("手机号: a number in two parts."),
    "dialCode": FieldDoc("国家码: the calling code. Requests may have a text of digits.", 86),
    "number": FieldDoc("号码: the national number. Requests may have a text, in any spelling.", 13699851562),
    "action": FieldDoc("动作: what the code is for.", "signup"),
    "password": FieldDoc("密码: 6 to 128 printable ASCII characters, not the number.", "909123"),
    "captcha": FieldDoc("验证码: the six digits of the message. They may be a JSON number.", "119614"),
    "oldCaptcha": FieldDoc("原手机号的验证码: the code sent to the old number.", "909614"),
    "userId": FieldDoc("用户 ID: the id of the user.", 100015),
    "nickName": FieldDoc("昵称: the nickname.", "小时候用户100015"),
    "avatar": FieldDoc("头像: the address of the picture, if there is one.", None),
    "gender": FieldDoc("性别: `m` is female and `f` is male, as the contract has it.", "none"),
    "signature": FieldDoc("签名: a line about the user, if there is one.", None),
    "timestamp": FieldDoc("The time, in epoch milliseconds.", 1449949634821),
    "code": FieldDoc("The HTTP status.", 403),
    "error": FieldDoc("The text of the refusal.", "手机号格式不正确。"),
}

DIALECT = Dialect(
    name="tel",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/(users|actions)(/.*)?"),
    render_error=render_error,
    refusal=Refusal,
    fields=FIELDS,
    tokens=("bearer", "cookie"),
    daily_cap=3,
    allows_master_code=True,
)
