"""Refusals as problem documents (RFC 9457): a stable ``code``, and a title and a detail in the client's language."""

from contextvars import ContextVar

from aiohttp import web
from pydantic import Field

from gateway.http.body.errors import BodyError, BodyFault
from gateway.http.operations import ResponseBody
from gateway.passwords import CommonPasswordError
from shared.errors import STATUS, ErrorCode, ServiceError
from shared.internal_api.replies import PROBLEM
from shared.languages import language_for

ACCEPT_LANGUAGE: ContextVar[str] = ContextVar("accept_language", default="")
"""The ``Accept-Language`` of the current request; the middleware sets it."""

MAX_TRIES_LEFT = 4
"""What the first of the five tries of a code leaves."""

CHINESE: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.PARAMETER_MISSING: ("缺少参数", "缺少必填参数，或参数为空。"),
    ErrorCode.PARAMETER_INVALID: ("参数错误", "参数或请求内容的格式不正确。"),
    ErrorCode.NUMBER_REFUSED: ("手机号不正确", "手机号不正确，或不支持该国家或地区的号码，请检查后重试。"),
    ErrorCode.PASSWORD_CHARACTERS: ("密码含有不支持的字符", "密码只能包含英文字母、数字、空格和常用符号。"),
    ErrorCode.PASSWORD_LENGTH: ("密码不符合要求", "密码应为 8 到 128 位，且不能是手机号。"),
    ErrorCode.NUMBER_TAKEN: ("手机号已被注册", "该手机号已被注册，请直接登录。"),
    ErrorCode.NAME_TAKEN: ("用户名已被使用", "该用户名已被使用，请换一个。"),
    ErrorCode.NO_ACCOUNT: ("账号不存在", "该手机号尚未注册。"),
    ErrorCode.CODE_REFUSED: ("验证码不正确", "验证码错误、已过期或已使用。请检查后重试，或重新获取。"),
    ErrorCode.CREDENTIALS_REFUSED: ("手机号或密码错误", "手机号或密码错误，请检查后重试。"),
    ErrorCode.PROOF_REQUIRED: ("需要再次验证", "请输入密码，或获取并输入验证码，以确认是您本人操作。"),
    ErrorCode.ACCOUNT_BANNED: ("账号已被停用", "账号已被停用，如有疑问，请联系客服。"),
    ErrorCode.UNAUTHENTICATED: ("请先登录", "您尚未登录，或登录已失效，请重新登录。"),
    ErrorCode.APP_KEY_REFUSED: ("应用密钥无效", "请检查服务器的应用密钥；应用密钥不能在浏览器中使用。"),
    ErrorCode.COOLDOWN: ("发送过于频繁", "验证码刚刚发送过，请稍后再试。"),
    ErrorCode.DAILY_CAP: ("今日发送次数已达上限", "该手机号今日获取验证码的次数已达上限，请明天再试。"),
    ErrorCode.CALLER_LIMIT: ("操作过于频繁", "操作过于频繁，请稍后再试。"),
    ErrorCode.SENDING_PAUSED: ("短信暂停发送", "该号码暂时无法接收验证码，请稍后再试。"),
    ErrorCode.TOO_MANY_CONTACTS: ("联系人数量超过限制", "联系人数量超过限制，每次最多 2000 个号码。"),
    ErrorCode.CONTACT_BUDGET: ("查询过于频繁", "新号码的查询次数已用完，请稍后再试。"),
    ErrorCode.NOT_FOUND: ("未找到", "请求的内容不存在。"),
    ErrorCode.METHOD_NOT_ALLOWED: ("方法不支持", "该地址不支持此请求方法。"),
    ErrorCode.UNAVAILABLE: ("系统繁忙", "系统繁忙，请稍后再试。"),
    ErrorCode.INTERNAL: ("系统错误", "系统出现错误，请稍后再试。"),
}

ENGLISH: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.PARAMETER_MISSING: ("Parameter missing", "A required parameter is missing or empty."),
    ErrorCode.PARAMETER_INVALID: ("Parameter invalid", "A parameter or the request body is malformed."),
    ErrorCode.NUMBER_REFUSED: ("Number refused", "Check the number. It must be a mobile number we support."),
    ErrorCode.PASSWORD_CHARACTERS: (
        "Password characters",
        "Use only English letters, digits, spaces and common symbols.",
    ),
    ErrorCode.PASSWORD_LENGTH: ("Password length", "Use 8 to 128 characters, and not your phone number."),
    ErrorCode.NUMBER_TAKEN: ("Number taken", "This number already has an account. Log in instead."),
    ErrorCode.NAME_TAKEN: ("Name taken", "This name is already in use. Choose another one."),
    ErrorCode.NO_ACCOUNT: ("No account", "This number has no account. Register first."),
    ErrorCode.CODE_REFUSED: (
        "Code refused",
        "The code is incorrect, expired or already used. Check it, or request a new one.",
    ),
    ErrorCode.CREDENTIALS_REFUSED: ("Credentials refused", "The number or the password is incorrect."),
    ErrorCode.PROOF_REQUIRED: (
        "Proof required",
        "Confirm that it is you: send your password, or the ticket of a code that was sent for this purpose.",
    ),
    ErrorCode.ACCOUNT_BANNED: ("Account banned", "This account is suspended. Contact support."),
    ErrorCode.UNAUTHENTICATED: ("Unauthenticated", "You are not logged in, or your session has ended. Log in again."),
    ErrorCode.APP_KEY_REFUSED: (
        "App key refused",
        "The app key is unknown or malformed, or a browser sent it. Only your own server may use it.",
    ),
    ErrorCode.COOLDOWN: ("Cooldown", "A code was sent to this number recently. Try again later."),
    ErrorCode.DAILY_CAP: ("Daily cap", "This number has reached its daily limit of codes. Try again tomorrow."),
    ErrorCode.CALLER_LIMIT: ("Too many requests", "Too many requests. Try again later."),
    ErrorCode.SENDING_PAUSED: ("Sending is paused", "We cannot send codes to this number right now. Try again later."),
    ErrorCode.TOO_MANY_CONTACTS: ("Too many contacts", "Send at most 2,000 numbers in one request."),
    ErrorCode.CONTACT_BUDGET: ("Contact budget", "You have looked up too many new numbers. Try again later."),
    ErrorCode.NOT_FOUND: ("Not found", "The requested resource does not exist."),
    ErrorCode.METHOD_NOT_ALLOWED: ("Method not allowed", "This address does not support that method."),
    ErrorCode.UNAVAILABLE: ("Unavailable", "The service is busy. Try again shortly."),
    ErrorCode.INTERNAL: ("Internal error", "Something went wrong on our side. Try again later."),
}

CHALLENGES = {ErrorCode.UNAUTHENTICATED: "Bearer", ErrorCode.APP_KEY_REFUSED: "App"}
"""The scheme that a refusal asks for (RFC 9110, 11.6.1)."""

TEXTS = {"zh": CHINESE, "en": ENGLISH}

BODY_DETAILS = {
    "zh": {
        BodyFault.MEDIA_TYPE: (
            "Content-Type 缺失或不受支持，请使用 application/json、application/x-www-form-urlencoded "
            "或 multipart/form-data。"
        ),
        BodyFault.CHARSET: "请求内容的字符集不受支持，请使用 UTF-8。",
        BodyFault.COMPRESSED: "不接受压缩的请求内容（Content-Encoding）。",
        BodyFault.JSON_AS_FORM: "请求内容像 JSON，却按表单读取。请设置 Content-Type: application/json。",
        BodyFault.FILE: "不接受文件，请只提交文本字段。",
    },
    "en": {
        BodyFault.MEDIA_TYPE: (
            "The Content-Type is missing or not accepted. Use application/json, application/x-www-form-urlencoded "
            "or multipart/form-data."
        ),
        BodyFault.CHARSET: "The character set of the body is not accepted. Send UTF-8.",
        BodyFault.COMPRESSED: "A compressed body (Content-Encoding) is not accepted.",
        BodyFault.JSON_AS_FORM: "The body looks like JSON but was read as a form. Send Content-Type: application/json.",
        BodyFault.FILE: "Files are not accepted. Send text fields only.",
    },
}
"""What a developer needs to know of a body that cannot be read."""


CODE_DETAILS = {
    "zh": {
        "dead": "验证码已失效，请重新获取。",
        "alive": "验证码错误，请检查后重试，还可以再试 {} 次。",
        "limited": "验证码输错次数过多，请稍后再试，或使用常用网络。",
    },
    "en": {
        "dead": "This code is no longer valid. Request a new one.",
        "alive": "The code is incorrect. Check it and try again. Tries left: {}.",
        "limited": "Too many incorrect codes were entered. Try again later, or from the network that you usually use.",
    },
}
"""What the holder of a challenge is told: how many tries the code has left, that only a new one helps, or none does."""


LOG_IN_LIMITED = {
    "zh": "登录尝试过于频繁，请稍后再试，或使用验证码登录。",
    "en": "Too many attempts to log in. Try again later, or log in with a code.",
}
"""What the caller of a log-in with a password is told at a limit: a code passes it."""

COMMON_PASSWORD = {
    "zh": "该密码过于常见，容易被猜中，请换一个。",
    "en": "This password is one of the most common ones, so it is easy to guess. Choose another one.",
}


class LogInLimitError(ServiceError):
    """``CALLER_LIMIT`` in a log-in with a password: its problem document says that a code passes."""

    def __init__(self, retry_after: int | None) -> None:
        super().__init__(ErrorCode.CALLER_LIMIT, retry_after=retry_after)


class Problem(ResponseBody):
    """A refusal (RFC 9457). Rely on ``code``; ``title`` and ``detail`` are for people."""

    type: str
    title: str
    status: int = Field(ge=400, lt=600)
    detail: str
    code: ErrorCode
    retry_after: int = Field(default=0, exclude_if=lambda wait: not wait)
    field: str = Field(default="", exclude_if=lambda name: not name)
    tries_left: int | None = Field(default=None, ge=0, le=MAX_TRIES_LEFT, exclude_if=lambda left: left is None)


def problem(error: ServiceError) -> web.Response:
    """Render a refusal. The body repeats ``Retry-After``, because cross-origin scripts cannot read that header."""
    language = language_for(ACCEPT_LANGUAGE.get())
    title, detail = TEXTS[language][error.code]
    if isinstance(error, BodyError):
        detail = BODY_DETAILS[language][error.fault]
    if error.tries_left is not None:
        detail = CODE_DETAILS[language]["alive" if error.tries_left else "dead"].format(error.tries_left)
    if error.is_limited:
        detail = CODE_DETAILS[language]["limited"]
    if isinstance(error, LogInLimitError):
        detail = LOG_IN_LIMITED[language]
    if isinstance(error, CommonPasswordError):
        detail = COMMON_PASSWORD[language]
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    wait = 0 if error.retry_after is None else max(1, error.retry_after)
    if wait:
        headers["Retry-After"] = str(wait)
    if scheme := CHALLENGES.get(error.code):
        headers["WWW-Authenticate"] = scheme
    document = Problem(
        type=f"urn:haoma:problem:{error.code.value}",
        title=title,
        status=STATUS[error.code],
        detail=detail,
        code=error.code,
        retry_after=wait,
        field=error.field or "",
        tries_left=error.tries_left,
    )
    body = document.model_dump_json().encode()
    return web.Response(body=body, status=document.status, content_type=PROBLEM, headers=headers)
