"""tel: numbers as ``{dialCode, number}``, bare bodies for success, HTTP status = body code, errors with a timestamp.

Bodies have no place for a token: it goes out, and comes back, as an ``Authorization`` header or a cookie.
"""

import re
import time
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field, model_validator

from gateway.dialect import Dialect, Text, bearer, cookie, flows, hand_token, json_response
from gateway.flows import refusals
from gateway.operations import Answer, Routes
from gateway.passwords import Password
from gateway.request_parsing import Call, read_call
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account, Gender, LoggedIn, Resolved
from shared.internal_api.sms import Purpose
from shared.phone import E164, split
from shared.spelling import clean

LARGEST_NUMBER = 10**15
CODE_DIGITS = 6

ACTIONS = {
    "signup": Purpose.SIGN_UP,
    "resetPassword": Purpose.RESET_PASSWORD,
    "resetPhone": Purpose.CHANGE_PHONE,
}
GENDERS: dict[Gender, Literal["none", "m", "f"]] = {Gender.NONE: "none", Gender.FEMALE: "m", Gender.MALE: "f"}
"""Not a slip of ours: in this contract ``m`` is female and ``f`` is male."""

routes = Routes()


def _integer(value: Any) -> Any:
    """Digits as text stand for their number, however they are spelled."""
    digits = clean(value) if isinstance(value, str) else ""
    return int(digits) if re.fullmatch(r"\+?[0-9]{1,20}", digits) else value


def _code(value: Any) -> Any:
    """A JSON number has lost its leading zeros."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**CODE_DIGITS:
        return f"{value:0{CODE_DIGITS}d}"
    return value


Digits = Annotated[str, Field(pattern="^[0-9]{1,20}$")]
Integer = Annotated[int, BeforeValidator(_integer, json_schema_input_type=int | Digits), Field(ge=0)]
Captcha = Annotated[Text, BeforeValidator(_code, json_schema_input_type=Text | int)]


class Tel(Call):
    dialCode: Annotated[Integer, Field(lt=1000)]
    number: Annotated[Integer, Field(lt=LARGEST_NUMBER)]


class WithTel(Call):
    tel: Tel

    @model_validator(mode="before")
    @classmethod
    def _from_a_form(cls, fields: Any) -> Any:
        """A form writes the number as ``tel[dialCode]=86&tel[number]=…``."""
        if isinstance(fields, dict) and "tel" not in fields:
            parts = {name: fields[f"tel[{name}]"] for name in Tel.model_fields if f"tel[{name}]" in fields}
            return {**fields, "tel": parts} if parts else fields
        return fields


class SendCode(WithTel):
    action: Annotated[Text, Field(json_schema_extra={"enum": [*ACTIONS]})]


class LogIn(WithTel):
    password: Text


class NewPassword(LogIn):
    captcha: Captcha


class NewTel(WithTel):
    captcha: Captcha
    oldCaptcha: Captcha


class Number(Answer):
    dialCode: int
    number: int


class Sent(Answer):
    tel: Number
    action: str


class User(Answer):
    userId: int
    nickName: str
    tel: Number
    avatar: str | None
    gender: Literal["none", "m", "f"]
    signature: str | None


class Refusal(Answer):
    timestamp: Annotated[int, Field(examples=[1449949634821])]
    code: int
    error: str


@routes.on("POST", "/actions/sms", asks=SendCode, answers=Sent, refuses=refusals.SEND_ANY_CODE, login="optional")
async def send_code(request: web.Request) -> web.Response:
    """发送验证码: send a code. ``action`` is ``signup``, ``resetPassword`` or ``resetPhone``.

    Logged in, ``resetPhone`` to a number that is not the user's own asks for the code of his new number.
    """
    call = await read_call(request, SendCode)
    purpose = _purpose(call.action)
    number = _number(request, call.tel)
    session = await _session_if_any(request) if purpose is Purpose.CHANGE_PHONE else None
    await flows(request).send_code(DIALECT.caller(request), number, purpose, session=session)
    return json_response(Sent(tel=_shown(number), action=call.action))


@routes.on("POST", "/users", asks=NewPassword, answers=User, refuses=refusals.REGISTER, gives_token=True)
async def register(request: web.Request) -> web.Response:
    """手机注册: open an account with the code."""
    call = await read_call(request, NewPassword)
    number = _number(request, call.tel)
    password = Password.from_plain(call.password)
    return _logged_in(
        request, await flows(request).register_with_code(DIALECT.caller(request), number, password, call.captcha)
    )


@routes.on("POST", "/users/signin", asks=LogIn, answers=User, refuses=refusals.LOG_IN, gives_token=True)
async def log_in(request: web.Request) -> web.Response:
    """手机登录: open a session."""
    call = await read_call(request, LogIn)
    number = _number(request, call.tel)
    password = Password.from_plain(call.password)
    return _logged_in(request, await flows(request).log_in(DIALECT.caller(request), number, password))


@routes.on("GET", "/users/{userId}", answers=User, refuses=[ErrorCode.NOT_FOUND], login="optional")
async def read_user(request: web.Request) -> web.Response:
    """取得用户详情: the caller himself. Anybody else, and whoever is not logged in, finds nobody."""
    session = await _session_if_any(request)
    if session is None or not _is_own(request, session):
        raise ServiceError(ErrorCode.NOT_FOUND)
    return json_response(_user(session.account))


@routes.on("PUT", "/users/password", asks=NewPassword, answers=User, refuses=refusals.RESET_PASSWORD, gives_token=True)
async def reset_password(request: web.Request) -> web.Response:
    """重置密码: set a new password with a ``resetPassword`` code; every earlier session ends."""
    call = await read_call(request, NewPassword)
    number = _number(request, call.tel)
    password = Password.from_plain(call.password)
    return _logged_in(
        request, await flows(request).reset_password(DIALECT.caller(request), number, password, call.captcha)
    )


@routes.on("PUT", "/users/{userId}/tel", asks=NewTel, answers=User, refuses=refusals.CHANGE_NUMBER, login="required")
async def change_number(request: web.Request) -> web.Response:
    """绑定手机号: change the number with two ``resetPhone`` codes, one to the old number and one to the new."""
    call = await read_call(request, NewTel)
    number = _number(request, call.tel)
    session = await _session_if_any(request)
    if session is None or not _is_own(request, session):
        raise ServiceError(ErrorCode.UNAUTHENTICATED)
    caller = DIALECT.caller(request)
    changed = await flows(request).change_number(caller, session, number, call.captcha, old_code=call.oldCaptcha)
    return json_response(_user(changed))


def _purpose(action: str) -> Purpose:
    if action not in ACTIONS:
        raise ServiceError(ErrorCode.PARAMETER_INVALID, field="action")
    return ACTIONS[action]


def _number(request: web.Request, tel: Tel) -> E164:
    """The number; a JSON number has lost its leading zeros, which some countries' mobile numbers have."""
    calling_code = str(tel.dialCode)
    try:
        return flows(request).number(str(tel.number), calling_code)
    except ServiceError:
        return flows(request).number(f"0{tel.number}", calling_code)


async def _session_if_any(request: web.Request) -> Resolved | None:
    """Who is logged in, by header or cookie; a token that is good for nothing is as good as none."""
    for token in filter(None, (bearer(request), cookie(request))):
        try:
            return await flows(request).session(token)
        except ServiceError as refused:
            if refused.code is not ErrorCode.UNAUTHENTICATED:
                raise
    return None


def _is_own(request: web.Request, session: Resolved) -> bool:
    return request.match_info["userId"] == str(session.account.user_id)


def _logged_in(request: web.Request, opened: LoggedIn) -> web.Response:
    response = json_response(_user(opened.account))
    hand_token(request, response, opened.token)
    return response


def _user(account: Account) -> User:
    return User(
        userId=account.user_id,
        nickName=account.nickname,
        tel=_shown(E164(account.phone)),
        avatar=account.avatar or None,
        gender=GENDERS[account.gender],
        signature=account.motto or None,
    )


def _shown(number: E164) -> Number:
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
    ErrorCode.ACCOUNT_BANNED: (403, "账号已被停用。"),
    ErrorCode.UNAUTHENTICATED: (403, LOG_IN_FIRST),
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
"""Refusals that some calls word otherwise."""


def render_error(error: ServiceError, path: str) -> web.Response:
    """The refusal with its moment, its HTTP status once more, and its text."""
    status, text = REFUSALS[error.code]
    where, other_text = BY_PATH.get(error.code, (None, text))
    if where is not None and where.fullmatch(path):
        text = other_text
    body = Refusal(timestamp=int(time.time() * 1000), code=status, error=text)
    return json_response(body, status=status, error=error)


EXAMPLES = {
    "dialCode": 86,
    "number": 13699851562,
    "action": "signup",
    "password": "909123",
    "captcha": "119614",
    "oldCaptcha": "909614",
    "userId": 100015,
    "nickName": "小时候用户100015",
    "avatar": None,
    "gender": "none",
    "signature": None,
}

DIALECT = Dialect(
    name="tel",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/(users|actions)(/.*)?"),
    render_error=render_error,
    refusal=Refusal,
    examples=EXAMPLES,
    tokens=("bearer", "cookie"),
    daily_cap=3,
)
