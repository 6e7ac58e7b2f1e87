"""The built-in templates, used where the settings file has none: plain data, by language and purpose."""

from shared.internal_api.sms import Language, Purpose

TEMPLATES: dict[Language, dict[Purpose, str]] = {
    Language.CHINESE: {
        Purpose.SIGN_UP: "{signature}验证码 {code}，用于注册，{minutes}内有效，请勿泄露。",
        Purpose.SIGN_IN: "{signature}验证码 {code}，用于登录，{minutes}内有效，请勿泄露。",
        Purpose.RESET_PASSWORD: "{signature}验证码 {code}，用于重置密码，{minutes}内有效，请勿泄露。",
        Purpose.CHANGE_PHONE: "{signature}验证码 {code}，用于更换手机号，{minutes}内有效，请勿泄露。",
    },
    Language.ENGLISH: {
        Purpose.SIGN_UP: (
            "{signature} {code} is your code to sign up. It is valid for {minutes}. Do not share it with anyone."
        ),
        Purpose.SIGN_IN: (
            "{signature} {code} is your code to sign in. It is valid for {minutes}. Do not share it with anyone."
        ),
        Purpose.RESET_PASSWORD: (
            "{signature} {code} is your code to reset your password. It is valid for {minutes}. "
            "Do not share it with anyone."
        ),
        Purpose.CHANGE_PHONE: (
            "{signature} {code} is your code to change your number. It is valid for {minutes}. "
            "Do not share it with anyone."
        ),
    },
}

SIGNATURES = {Language.CHINESE: "【好码】", Language.ENGLISH: "[Haoma]"}

MINUTES = {Language.CHINESE: ("{} 分钟", "{} 分钟"), Language.ENGLISH: ("{} minute", "{} minutes")}
"""A time in words: for one minute, and for more."""
