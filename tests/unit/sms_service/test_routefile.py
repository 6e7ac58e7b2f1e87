"""The settings file of senders and routes: what it may say, and the line that is named when it may not."""

import re
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from shared.contracts.sms import Language, Purpose
from sms_service.routefile import BrokenRoutesError, read
from sms_service.routing import Route
from sms_service.senders.config import AliyunConfig, Part, SenderConfig
from sms_service.senders.opening import MissingLibraryError, load

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
    with pytest.raises(BrokenRoutesError) as refused:
        read(file, ENVIRON, inbox_allowed=inbox_allowed)
    said = str(refused.value)
    assert said.startswith(f"{file}: ")
    assert not any(secret in said for secret in ("id-4711", "shh", "whsec", "424242"))
    return said.removeprefix(f"{file}: ")


def test_a_good_file_is_read_with_its_secrets_from_the_environment(file: Path) -> None:
    file.write_text(GOOD)
    routes = read(file, ENVIRON, inbox_allowed=False)
    assert routes.in_order == [Route("+86", ("main", "second"), (9, 1)), Route("+", ("second",))]
    main = routes.senders["main"]
    assert isinstance(main, AliyunConfig)
    assert main.access_key_secret.get_secret_value() == "shh"
    assert (main.own_limits.per_minute, main.own_limits.per_hour, main.own_limits.per_day) == (1, 5, 10)
    assert routes.senders["second"].own_limits.per_hour == 3
    (number,) = routes.test_numbers
    assert (number.until, number.code.get_secret_value()) == (date(2099, 1, 31), "424242")
    assert "shh" not in repr(routes)
    assert "424242" not in repr(routes)


@pytest.mark.parametrize(
    ("purpose", "language", "expected"),
    [
        (Purpose.SIGN_UP, Language.ENGLISH, "SMS_3"),
        (Purpose.SIGN_UP, Language.CHINESE, "SMS_2"),
        (Purpose.SIGN_IN, Language.ENGLISH, "SMS_4"),
        (Purpose.SIGN_IN, Language.CHINESE, "SMS_1"),
    ],
)
def test_the_most_particular_template_is_used(file: Path, purpose: Purpose, language: Language, expected: str) -> None:
    file.write_text(GOOD)
    main = read(file, ENVIRON, inbox_allowed=False).senders["main"]
    assert isinstance(main, AliyunConfig)
    assert main.templates.find(purpose, language) == expected


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('type = "aliyun"', 'type = "pigeon"', "line 3: senders.main: "),
        ('type = "aliyun"', "type = aliyun", "Invalid value (at line 4"),
        ('"ALIYUN_SECRET"', '"NOT_THERE"', "line 6: senders.main.access_key_secret_env: NOT_THERE is not set"),
        ('"ALIYUN_SECRET"', '"s3cret!"', "line 6: senders.main.access_key_secret_env: expected the name of an envir"),
        ('sign_name = "好码"\n', "", "line 3: senders.main.sign_name: Field required"),
        ('default = "SMS_1", ', "", "line 8: senders.main.templates.default: Field required"),
        ("per_hour = 3", "per_hour = 0", "line 16: senders.second.limits.per_hour: "),
        ("per_hour = 3", "per_week = 3", "line 16: senders.second.limits.per_week: "),
        ('senders = ["second"]', 'senders = ["third"]', 'line 25: routes[1].senders: there is no sender "third"'),
        ('senders = ["second"]', "senders = []", "line 25: routes[1].senders: "),
        ('["main", "second"]', '["main", "main"]', "line 20: routes[0].senders: a sender is named twice"),
        ("[9, 1]", "[9]", "line 21: routes[0].weights: needs one weight for each sender"),
        ('prefix = "+"', 'prefix = "+86"', "line 24: routes[1].prefix: is given a second time"),
        ('prefix = "+86"', 'prefix = "86"', "line 19: routes[0].prefix: "),
        ('"REVIEW_CODE"', '"BAD"', "line 29: test_numbers[0].code_env: the variable must hold six digits"),
        ("until = 2099-01-31", 'until = "soon"', "line 30: test_numbers[0].until: "),
        ("[senders.second]", "[senders.Second]", "line 10: senders.Second"),
        ("public_url", "puplic_url", "line 1: puplic_url: "),
        ('"https://sms', '"ftp://sms', "line 12: senders.second.url: "),
    ],
)
def test_a_broken_file_is_refused_with_its_line(file: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert said in refusal(file, GOOD.replace(old, new, 1))


def test_an_empty_file_a_missing_file_and_an_inbox_in_production_are_refused(file: Path) -> None:
    assert "there is no route" in refusal(file, "")
    inbox = '[senders.inbox]\ntype = "inbox"\n[[routes]]\nprefix = "+"\nsenders = ["inbox"]\n'
    assert "line 1: senders.inbox: an inbox is for development" in refusal(file, inbox, inbox_allowed=False)
    file.unlink()
    with pytest.raises(BrokenRoutesError, match="cannot be read"):
        read(file, ENVIRON, inbox_allowed=True)


def test_the_example_of_the_documentation_is_a_good_file(file: Path) -> None:
    document = (Path(__file__).parents[3] / "docs" / "operations" / "senders.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    file.write_text(example)
    environ = dict.fromkeys(re.findall(r'_env = "([A-Z_]+)"', example), "123456")
    routes = read(file, environ, inbox_allowed=False)
    kinds = get_args(SenderConfig)
    assert {config.type for config in routes.senders.values()} == _types(kinds) - {"inbox"}
    for kind in _types(kinds):
        assert f"`{kind}`" in document


def _types(kinds: tuple[type[Part], ...]) -> set[str]:
    return {get_args(kind.model_fields["type"].annotation)[0] for kind in kinds}


def test_every_kind_of_sender_has_its_module_and_its_extra() -> None:
    root = Path(__file__).parents[3]
    extras = tomllib.loads((root / "sms-service" / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    makefile = (root / "Makefile").read_text()
    for kind in _types(get_args(SenderConfig)) - {"inbox"}:
        assert callable(load(kind))
        if kind != "webhook":
            assert kind in extras
            assert re.search(rf"^SENDERS :=.*\b{kind}\b", makefile, re.MULTILINE)
            assert (root / "deploy" / "requirements" / f"sms-service-{kind}.txt").exists()


def test_a_library_that_is_not_there_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twilio.rest", None)
    monkeypatch.delitem(sys.modules, "sms_service.senders.twilio", raising=False)
    with pytest.raises(MissingLibraryError, match=r"need haoma-sms-service\[twilio\]"):
        load("twilio")
