"""The built-in templates, used where the settings file has none: plain data, by language and purpose or notice."""

from shared.internal_api.sms import AccountNotice, Language, Purpose

TEMPLATES: dict[Language, dict[Purpose, str]] = {
    Language.CHINESE: {
        Purpose.SIGN_UP: "{signature}注册验证码 {code}，{minutes}内有效，请勿泄露。",
        Purpose.SIGN_IN: "{signature}登录验证码 {code}，{minutes}内有效，请勿泄露。",
        Purpose.RESET_PASSWORD: "{signature}重置密码验证码 {code}，{minutes}内有效，请勿泄露。",
        Purpose.CHANGE_PHONE: "{signature}更换手机号验证码 {code}，{minutes}内有效，请勿泄露。",
        Purpose.ERASE: "{signature}注销账号验证码 {code}，{minutes}内有效，请勿泄露。",
        Purpose.EXPORT: "{signature}导出数据验证码 {code}，{minutes}内有效，请勿泄露。",
    },
    Language.ENGLISH: {
        Purpose.SIGN_UP: (
            "{signature} {code} is your code to sign up, valid for {minutes}. Do not share it with anyone."
        ),
        Purpose.SIGN_IN: (
            "{signature} {code} is your code to sign in, valid for {minutes}. Do not share it with anyone."
        ),
        Purpose.RESET_PASSWORD: (
            "{signature} {code} is your code to reset your password, valid for {minutes}. Do not share it with anyone."
        ),
        Purpose.CHANGE_PHONE: (
            "{signature} {code} is your code to change your number, valid for {minutes}. Do not share it with anyone."
        ),
        Purpose.ERASE: (
            "{signature} {code} is your code to delete your account, valid for {minutes}. Do not share it with anyone."
        ),
        Purpose.EXPORT: (
            "{signature} {code} is your code to export your data, valid for {minutes}. Do not share it with anyone."
        ),
    },
}

NOTICES: dict[Language, dict[AccountNotice, str]] = {
    Language.CHINESE: {
        AccountNotice.REGISTERED: "{signature}您已有账号，请登录。验证码 {code}，{minutes}内有效，请勿泄露。",
        AccountNotice.NO_ACCOUNT: "{signature}您还没有账号，请先注册。验证码 {code}，{minutes}内有效，请勿泄露。",
    },
    Language.ENGLISH: {
        AccountNotice.REGISTERED: (
            "{signature} You already have an account. {code} is your code, valid for {minutes}. Do not share it."
        ),
        AccountNotice.NO_ACCOUNT: (
            "{signature} This number has no account. {code} is your code, valid for {minutes}. Do not share it."
        ),
    },
}
"""What the owner of a number is told besides the code, for every purpose."""

SIGNATURES = {Language.CHINESE: "【好码】", Language.ENGLISH: "[Haoma]"}

MINUTES = {Language.CHINESE: ("{} 分钟", "{} 分钟"), Language.ENGLISH: ("{} minute", "{} minutes")}
"""A time in words: for one minute, and for more."""
