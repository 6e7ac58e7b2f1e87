"""The settings file of senders and routes: what it may contain, and the line of each error."""

import re
import sys
import tomllib
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.process.startup import UnreachableError
from sms_service.config_file.fields import ConfigTable
from sms_service.config_loader import InvalidConfigError, read
from sms_service.delivery.routing import Route
from sms_service.receipts.readers import readers
from sms_service.senders.config import AliyunConfig, SenderConfig, Templates, TwilioConfig
from sms_service.senders.opening import MissingLibraryError, SenderResources, open_senders, sender_opener
from sms_service.senders.port import Receipt

ENVIRON = {
    "ALIYUN_ID": "id-4711",
    "ALIYUN_SECRET": "shh",
    "HOOK": "whsec_c2VjcmV0",
    "REVIEW_CODE": "424242",
    "BAD": "12",
}
GOOD = """\
public_url = "https://api.example.com"

[senders.main]
type = "aliyun"
access_key_id_env = "ALIYUN_ID"
access_key_secret_env = "ALIYUN_SECRET"
sign_name = "好码"
templates = { default = "SMS_1", sign_up = "SMS_2", sign_up_en = "SMS_3", en = "SMS_4" }

[senders.second]
type = "webhook"
url = "https://sms.example.com/send"
secret_env = "HOOK"

[senders.second.limits]
per_hour = 3

[[routes]]
prefix = "+86"
senders = ["main", "second"]
weights = [9, 1]

[[routes]]
prefix = "+"
senders = ["second"]

[[test_numbers]]
number = "+8613800138000"
code_env = "REVIEW_CODE"
until = 2099-01-31
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


def refusal(file: Path, text: str, *, inbox_allowed: bool = True) -> str:
    file.write_text(text)
    with pytest.raises(InvalidConfigError) as refused:
        read(file, ENVIRON, inbox_allowed=inbox_allowed)
    reason = str(refused.value)
    assert reason.startswith(f"{file}: ")
    assert not any(secret in reason for secret in ("id-4711", "shh", "whsec", "424242"))
    return reason.removeprefix(f"{file}: ")


def test_a_valid_file_is_read_with_its_secrets_from_the_environment(file: Path) -> None:
    file.write_text(GOOD)
    config = read(file, ENVIRON, inbox_allowed=False)
    assert config.ordered_routes == [Route("+86", ("main", "second"), (9, 1)), Route("+", ("second",))]
    main = config.senders["main"]
    assert isinstance(main, AliyunConfig)
    assert main.access_key_secret.get_secret_value() == "shh"
    assert (main.sender_limits.per_minute, main.sender_limits.per_hour, main.sender_limits.per_day) == (1, 5, 10)
    assert config.senders["second"].sender_limits.per_hour == 3
    (number,) = config.test_numbers
    assert (number.until, number.code.get_secret_value()) == (date(2099, 1, 31), "424242")
    assert "shh" not in repr(config)
    assert "424242" not in repr(config)


def test_a_credential_may_be_in_a_file(file: Path) -> None:
    name, value = next((name, value) for name, value in ENVIRON.items() if value == "shh")
    secret = file.with_name("secret")
    secret.write_text(value + "\n")
    file.write_text(GOOD)
    others = {key: text for key, text in ENVIRON.items() if key != name}
    main = read(file, {**others, f"{name}_FILE": str(secret)}, inbox_allowed=False).senders["main"]
    assert isinstance(main, AliyunConfig)
    assert main.access_key_secret.get_secret_value() == value
    with pytest.raises(InvalidConfigError, match=f"{name} and {name}_FILE are both set"):
        read(file, {**ENVIRON, f"{name}_FILE": str(secret)}, inbox_allowed=False)


def test_a_notice_has_a_template_of_its_own_or_else_that_of_its_purpose() -> None:
    templates = Templates.model_validate({"default": "T1", "sign_up": "T2", "registered": "T3", "registered_en": "T4"})
    registered, no_account = AccountNotice.REGISTERED, AccountNotice.NO_ACCOUNT

    assert templates.template_for(Purpose.SIGN_UP, Language.ENGLISH, registered) == "T4"
    assert templates.template_for(Purpose.SIGN_UP, Language.CHINESE, registered) == "T3"
    assert templates.template_for(Purpose.SIGN_IN, Language.CHINESE, no_account) == "T1"
    assert Templates(default="T1").template_for(Purpose.SIGN_UP, Language.CHINESE, registered) == "T1"


@pytest.mark.parametrize(
    ("purpose", "language", "expected"),
    [
        (Purpose.SIGN_UP, Language.ENGLISH, "SMS_3"),
        (Purpose.SIGN_UP, Language.CHINESE, "SMS_2"),
        (Purpose.SIGN_IN, Language.ENGLISH, "SMS_4"),
        (Purpose.SIGN_IN, Language.CHINESE, "SMS_1"),
    ],
)
def test_the_most_specific_template_is_used(file: Path, purpose: Purpose, language: Language, expected: str) -> None:
    file.write_text(GOOD)
    main = read(file, ENVIRON, inbox_allowed=False).senders["main"]
    assert isinstance(main, AliyunConfig)
    assert main.templates.template_for(purpose, language) == expected


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('type = "aliyun"', 'type = "pigeon"', "line 4: senders.main.type: is none of inbox, webhook, "),
        ('type = "webhook"', 'type = "webhok"', ": did you mean webhook?"),
        ('type = "webhook"\n', "", "line 10: senders.second: has no type"),
        ("\nurl = ", "\nulr = ", "line 12: senders.second.ulr: is no key of this table: did you mean url?"),
        (
            'secret_env = "HOOK"',
            'secret = "HOOK"',
            "line 13: senders.second.secret: is no key of this table: did you mean secret_env?",
        ),
        (
            "per_hour = 3",
            "per_hours = 3",
            "line 16: senders.second.limits.per_hours: is no key of this table: did you me",
        ),
        ("per_hour = 3", "per_hour = true", "line 16: senders.second.limits.per_hour: must be a whole number"),
        ("[9, 1]", "[9, 0]", "line 21: routes[0].weights[1]: must be at least 1"),
        ('type = "aliyun"', "type = aliyun", "line 4: Invalid value (column 8)"),
        ('"ALIYUN_SECRET"', '"NOT_THERE"', "line 6: senders.main.access_key_secret_env: NOT_THERE is not set"),
        ('"ALIYUN_SECRET"', '"s3cret!"', "line 6: senders.main.access_key_secret_env: expected the name of an envir"),
        ('sign_name = "好码"\n', "", "line 3: senders.main.sign_name: Field required"),
        ('default = "SMS_1", ', "", "line 8: senders.main.templates.default: Field required"),
        ("per_hour = 3", "per_hour = 0", "line 16: senders.second.limits.per_hour: must be at least 1"),
        ("per_hour = 3", "per_week = 3", "line 16: senders.second.limits.per_week: "),
        ('senders = ["second"]', 'senders = ["third"]', 'line 25: routes[1].senders: there is no sender "third"'),
        ('senders = ["second"]', "senders = []", "line 25: routes[1].senders: "),
        ('["main", "second"]', '["main", "main"]', "line 20: routes[0].senders: names a sender twice"),
        ("[9, 1]", "[9]", "line 21: routes[0].weights: needs one weight for each sender"),
        ('prefix = "+"', 'prefix = "+86"', "line 24: routes[1].prefix: appears twice"),
        ('prefix = "+86"', 'prefix = "86"', "line 19: routes[0].prefix: begins with +"),
        ('"REVIEW_CODE"', '"BAD"', "line 29: test_numbers[0].code_env: the variable must hold six digits"),
        ("until = 2099-01-31", 'until = "soon"', "line 30: test_numbers[0].until: "),
        ("[senders.second]", "[senders.Second]", "line 10: senders.Second"),
        ("public_url", "puplic_url", "line 1: puplic_url: "),
        ('"https://sms', '"ftp://sms', "line 12: senders.second.url: "),
    ],
)
def test_an_invalid_file_is_refused_with_its_line(file: Path, old: str, new: str, reason: str) -> None:
    assert old in GOOD
    assert reason in refusal(file, GOOD.replace(old, new, 1))


def test_an_unknown_key_is_told_before_an_earlier_error_of_another_table(file: Path) -> None:
    broken = GOOD.replace('sign_name = "好码"\n', "").replace("senders = [", "sender = [")
    assert "routes[0].sender: is no key of this table: did you mean senders?" in refusal(file, broken)


ONE = '[senders.one]\ntype = "{}"\n{}\n[[routes]]\nprefix = "+"\nsenders = ["one"]\n'
TWILIO = 'account_sid = "AC1"\nauth_token_env = "HOOK"\nfrom_number = "+15005550006"'
ALIYUN = 'access_key_id_env = "ALIYUN_ID"\naccess_key_secret_env = "ALIYUN_SECRET"\nsign_name = "x"'
TENCENT = 'secret_id_env = "ALIYUN_ID"\nsecret_key_env = "ALIYUN_SECRET"\napp_id = "1"\ntemplates = { default = "1" }'
AWS = 'region = "ap-southeast-1"'
SMPP = 'host = "smsc"\nsystem_id = "haoma"\npassword_env = "ALIYUN_SECRET"\nsource = "Haoma"'


@pytest.mark.parametrize(
    ("kind", "keys", "reason"),
    [
        (
            "webhook",
            'url = "https://a.example:99999/x"\nsecret_env = "HOOK"',
            "line 3: senders.one.url: expected an addr",
        ),
        ("webhook", 'url = "http://[::1/one"\nsecret_env = "HOOK"', "line 3: senders.one.url: expected an address"),
        ("webhook", 'url = "http://][::/one"\nsecret_env = "HOOK"', "line 3: senders.one.url: expected an address"),
        ("webhook", 'url = "http://a..b/one"\nsecret_env = "HOOK"', "line 3: senders.one.url: expected an address"),
        ("webhook", 'url = "http://999.1.1.1"\nsecret_env = "HOOK"', "line 3: senders.one.url: expected an address"),
        ("twilio", f'{TWILIO}\nbase_url = "http://[::1/x"', "line 6: senders.one.base_url: expected an address"),
        (
            "aliyun",
            f'{ALIYUN}\ntemplates = {{ default = "1" }}\nendpoint = "http://x y"',
            "line 7: senders.one.endpoint: ",
        ),
        ("aliyun", f'{ALIYUN}\ntemplates = {{ default = "1" }}\nendpoint = "a.example/x"', "line 7: senders.one.endpo"),
        (
            "aliyun",
            f'{ALIYUN}\n[senders.one.templates]\ndefault = "1"\nsignup = "2"',
            "line 8: senders.one.templates.signup: expected a purpose",
        ),
        ("tencent", f'{TENCENT}\nparameters = ["minutes"]', 'line 7: senders.one.parameters: must contain "code"'),
        ("tencent", f'{TENCENT}\nendpoint = "h:port"', "line 7: senders.one.endpoint: expected a host name"),
        ("aws", f'{AWS}\naccess_key_id_env = "ALIYUN_ID"', "line 1: senders.one: needs both of access_key_id_env and "),
        ("aws", f'{AWS}\nsecret_access_key_env = "ALIYUN_ID"', "line 1: senders.one: needs both of access_key_id_env"),
        ("aws", 'region = "no such region!"', "line 3: senders.one.region: "),
        ("aws", f'{AWS}\nendpoint_url = "http://[::1/x"', "line 4: senders.one.endpoint_url: expected an address"),
        ("aws", f'{AWS}\nendpoint_url = "http://a_b/x"', "line 4: senders.one.endpoint_url: "),
        (
            "smpp",
            SMPP.replace("ALIYUN_SECRET", "HOOK"),
            "line 5: senders.one.password_env: the variable must contain at most 8",
        ),
        ("smpp", SMPP.replace("smsc", "h h"), "line 3: senders.one.host: expected a host name or an IP address"),
        ("smpp", SMPP.replace('"haoma"', '"码"'), "line 4: senders.one.system_id: "),
        ("smpp", SMPP.replace('"haoma"', '"sixteencharacter"'), "line 4: senders.one.system_id: "),
        ("smpp", SMPP.replace('"Haoma"', '"TwelveLetter"'), "line 6: senders.one.source: "),
        ("smpp", f"{SMPP}\nport = true", "line 7: senders.one.port: "),
        ("aws", f'{AWS}\nlimits = {{ per_hour = "80" }}', "line 4: senders.one.limits.per_hour: "),
    ],
)
def test_a_value_that_a_library_would_refuse_is_refused_with_its_line(
    file: Path, kind: str, keys: str, reason: str
) -> None:
    assert refusal(file, ONE.format(kind, keys)).startswith(reason)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("webhook", 'url = "http://127.0.0.1:8000"\nsecret_env = "HOOK"'),
        ("webhook", 'url = "http://my_hook:8000/a%20b/"\nsecret_env = "HOOK"'),
        ("webhook", 'url = "http://[::1]:8000/x"\nsecret_env = "HOOK"'),
        ("webhook", 'url = "https://短信.example.com/"\nsecret_env = "HOOK"'),
        ("twilio", f'{TWILIO}\nbase_url = "https://api.dublin.ie1.twilio.com"'),
        (
            "aliyun",
            f'{ALIYUN}\ntemplates = {{ default = "1", en = "2", change_phone_zh = "3" }}\nendpoint = "localhost:80"',
        ),
        ("tencent", f'{TENCENT}\nparameters = ["minutes", "code"]\nendpoint = "127.0.0.1:8443"'),
        (
            "aws",
            f'{AWS}\nendpoint_url = "http://127.0.0.1:4566"\naccess_key_id_env = "HOOK"\nsecret_access_key_env = "HOOK"',
        ),
        ("smpp", SMPP.replace("smsc", "::1")),
        ("smpp", SMPP.replace('"Haoma"', '"+8610690000"')),
    ],
)
async def test_a_sender_with_accepted_values_can_be_opened(file: Path, kind: str, keys: str) -> None:
    file.write_text(ONE.format(kind, keys))
    routing = read(file, ENVIRON, inbox_allowed=False)

    async def take(_sender: str, _receipt: Receipt) -> bool:
        raise AssertionError("nothing was sent")

    async with AsyncExitStack() as stack:
        resources = SenderResources("http://127.0.0.1:1", "token", None, take)
        (sender,) = await open_senders(routing.senders, resources, stack)
        assert sender.name == "one"


@pytest.mark.parametrize("weights", ["[true, 1]", '["80", 20]', "[8.0, 2]"])
def test_a_weight_is_a_whole_number(file: Path, weights: str) -> None:
    assert "line 21: routes[0].weights[0]: " in refusal(file, GOOD.replace("[9, 1]", weights))


def test_public_url_is_an_address(file: Path) -> None:
    broken = GOOD.replace("https://api.example.com", "https://api.example.com:99999")
    assert "line 1: public_url: expected an address" in refusal(file, broken)


@pytest.mark.parametrize("until", ["20991231", "2099-12-31T00:00:00Z", "2099-12-31 12:00:00", '"2099-12-31"', "true"])
def test_the_last_day_of_a_test_number_is_a_date(file: Path, until: str) -> None:
    reason = refusal(file, GOOD.replace("2099-01-31", until))
    assert reason == "line 30: test_numbers[0].until: write a date: 2099-12-31"


@pytest.mark.parametrize(
    ("end", "line", "reason"),
    [
        ("x = 'abc", 31, "at the end of the file"),
        ('x = "abc', 31, "at the end of the file"),
        ('x = """\n\nabc\n', 33, "at the end of the file"),
        ("x = [1,\n2\n\n", 32, "at the end of the file"),
        ("[senders.two", 31, "at the end of the file"),
        ("x =", 31, "at the end of the file"),
        (f"x = 1\ny = {'7' * 5000}", 32, "a number has too many digits"),
        (f"\nx = {'[' * 3000}", 32, "nested too deeply"),
        (f"\nx = {'{a=' * 3000}", 32, "nested too deeply"),
    ],
)
def test_a_file_that_the_parser_refuses_has_a_line_too(file: Path, end: str, line: int, reason: str) -> None:
    error = refusal(file, GOOD + end)
    assert error.startswith(f"line {line}: ")
    assert error.endswith(reason)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (GOOD.encode().replace(b"SMS_4", b"\xff"), 8),
        (b"# one\n# two \xe5\xa5", 2),
        (GOOD.encode("utf-16"), 1),
        (GOOD.encode("gb18030"), 7),
    ],
)
def test_a_file_that_is_not_utf_8_is_refused_with_its_line(file: Path, written: bytes, line: int) -> None:
    file.write_bytes(written)
    with pytest.raises(InvalidConfigError, match=f"line {line}: is not UTF-8"):
        read(file, ENVIRON, inbox_allowed=True)


SCRAPS = (
    "",
    "\n",
    '"',
    '"""',
    "'''",
    "[",
    "[[",
    "]",
    "{",
    "}",
    "=",
    "#",
    "\\",
    "true",
    "-1",
    "\x00",
    "\u2028",
    "+86",
    "a.b = 1\n",
)


@settings(deadline=None)  # other work may slow the machine down
@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.sampled_from(SCRAPS))
def test_any_change_to_a_file_is_read_or_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, start: int, cut: int, scrap: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "mangled.toml"
    text = GOOD[:start] + scrap + GOOD[start + cut :]
    file.write_text(text)
    try:
        assert read(file, ENVIRON, inbox_allowed=False).routes
    except InvalidConfigError as error:
        found = re.match(rf"{re.escape(str(file))}: line ([0-9]+): ", str(error))
        assert found
        assert 1 <= int(found[1]) <= text.count("\n") + 1


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read(file, ENVIRON, inbox_allowed=False).ordered_routes


def test_a_multi_line_text_does_not_shift_later_lines(file: Path) -> None:
    text = '\n[[texts]] # \u2028\nlanguage = "en"\ntext = """\n[Haoma]\n[[budgets]]\n{code}"""\npurpose = "bad"\n'
    assert "line 38: texts[0].purpose: " in refusal(file, GOOD + text)


@pytest.mark.parametrize(
    ("where", "reason"),
    [(".", "it is a directory"), ("none.toml", "there is no such file"), ("routes.toml/x", "there is no such file")],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(file: Path, where: str, reason: str) -> None:
    file.write_text(GOOD)
    wanted = file.parent / where
    with pytest.raises(InvalidConfigError) as refused:
        read(wanted, ENVIRON, inbox_allowed=True)
    assert str(refused.value) == f"{wanted}: cannot be read: {reason}"


def test_an_empty_file_a_missing_file_and_an_inbox_in_production_are_refused(file: Path) -> None:
    assert "there is no route" in refusal(file, "")
    inbox = '[senders.inbox]\ntype = "inbox"\n[[routes]]\nprefix = "+"\nsenders = ["inbox"]\n'
    assert "line 1: senders.inbox: an inbox is for development" in refusal(file, inbox, inbox_allowed=False)
    file.unlink()
    with pytest.raises(InvalidConfigError, match="cannot be read"):
        read(file, ENVIRON, inbox_allowed=True)


def test_the_example_in_the_documentation_is_a_valid_file(file: Path) -> None:
    document = (Path(__file__).parents[3] / "docs" / "operations" / "senders.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    file.write_text(example)
    environ = dict.fromkeys(re.findall(r'_env = "([A-Z_]+)"', example), "123456")
    config = read(file, environ, inbox_allowed=False)
    kinds = get_args(SenderConfig)
    assert {config.type for config in config.senders.values()} == _types(kinds) - {"inbox"}
    for kind in _types(kinds):
        assert f"`{kind}`" in document


def _types(kinds: tuple[type[ConfigTable], ...]) -> set[str]:
    return {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds}


def test_every_kind_of_sender_has_its_module_and_its_extra() -> None:
    root = Path(__file__).parents[3]
    extras = tomllib.loads((root / "sms-service" / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    makefile = (root / "Makefile").read_text()
    for kind in _types(get_args(SenderConfig)) - {"inbox"}:
        assert callable(sender_opener(kind))
        if kind != "webhook":
            assert kind in extras
            assert re.search(rf"^SENDERS :=.*\b{kind}\b", makefile, re.MULTILINE)
            assert (root / "deploy" / "requirements" / f"sms-service-{kind}.txt").exists()


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twilio.rest", None)
    monkeypatch.delitem(sys.modules, "sms_service.senders.twilio", raising=False)
    with pytest.raises(MissingLibraryError, match=r"need haoma-sms-service\[twilio\]"):
        sender_opener("twilio")


def test_the_process_that_reads_receipts_names_the_missing_library_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twilio.request_validator", None)
    config = TwilioConfig.model_construct(type="twilio", auth_token=SecretStr("12345"))
    with pytest.raises(UnreachableError, match=r"senders of type twilio need haoma-sms-service\[twilio\]"):
        readers({"world": config})
