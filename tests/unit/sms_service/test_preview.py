"""The preview of texts for an operator."""

import pytest

from shared.internal_api.sms import Language
from sms_service.__main__ import main
from sms_service.messages.preview import preview
from sms_service.messages.templates import BUILT_IN, Autofill, Scope, Texts

AMERICA, HONG_KONG = "+12025550123", "+852"


def test_each_purpose_and_notice_is_shown_as_it_would_be_sent() -> None:
    texts = Texts(autofills=[(Scope(dialect="native", client="ios"), Autofill(domain="example.com"))])
    shown = preview(texts, AMERICA, None, "native", "ios").split("\n\n")
    assert [each.partition(" (")[0] for each in shown] == [
        "sign_up",
        "sign_in",
        "reset_password",
        "change_phone",
        "erase",
        "export",
        "registered",
        "no_account",
    ]
    assert shown[0] == (
        "sign_up (en): GSM-7, 112 of 160, 1 segment\n"
        "    [Haoma] 012345 is your code to sign up, valid for 5 minutes. Do not share it with anyone.\n"
        "    @example.com #012345"
    )


def test_the_language_is_that_of_the_country_unless_it_is_passed() -> None:
    assert preview(BUILT_IN, HONG_KONG).startswith("sign_up (zh): UCS-2, 30 of 70, 1 segment\n    【好码】")
    assert preview(BUILT_IN, HONG_KONG, Language.ENGLISH).startswith("sign_up (en): GSM-7, ")


def test_a_long_text_is_shown_with_its_segments() -> None:
    texts = Texts([(Scope(), "{code}" + "长" * 70)])
    assert preview(texts, HONG_KONG).startswith("sign_up (zh): UCS-2, 76 of 134, 2 segments\n")


def test_the_command_shows_the_texts_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, address in (("POSTGRES_URL", "postgresql://db"), ("REDIS_URL", "redis://c"), ("AMQP_URL", "amqp://b")):
        monkeypatch.setenv(name, address)
    monkeypatch.setenv("ENVIRONMENT", "development")

    main(["preview", "--number", "+1202", "--dialect", "native"])

    assert capsys.readouterr().out == preview(BUILT_IN, "+1202", Language.ENGLISH, "native")
    with pytest.raises(SystemExit):
        main(["preview", "--number", "13800138000"])
    assert "expected a plus sign and digits" in capsys.readouterr().err
