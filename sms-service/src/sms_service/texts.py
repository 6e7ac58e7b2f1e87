"""What a message says."""

import math
from datetime import timedelta

from shared.contracts.sms import Language, Purpose

_CHINESE = {
    Purpose.SIGN_UP: "注册",
    Purpose.SIGN_IN: "登录",
    Purpose.RESET_PASSWORD: "重置密码",
    Purpose.CHANGE_PHONE: "更换手机号",
}
_ENGLISH = {
    Purpose.SIGN_UP: "to sign up",
    Purpose.SIGN_IN: "to sign in",
    Purpose.RESET_PASSWORD: "to reset your password",
    Purpose.CHANGE_PHONE: "to change your number",
}


def code_text(code: str, purpose: Purpose, remaining: timedelta, language: Language = Language.CHINESE) -> str:
    """The text for a code that lives for ``remaining``, which a message sent again must not overstate."""
    minutes = max(1, math.ceil(remaining.total_seconds() / 60))
    if language is Language.ENGLISH:
        unit = "minute" if minutes == 1 else "minutes"
        return f"[Haoma] {code} is your code {_ENGLISH[purpose]}. It is valid for {minutes} {unit}. Tell it to nobody."
    return f"【好码】验证码 {code}，用于{_CHINESE[purpose]}，{minutes} 分钟内有效。请勿告诉他人。"
