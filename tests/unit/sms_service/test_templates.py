"""The text of a message: built-in templates, the operator's templates before them, and the autofill line."""

import itertools
import random
from datetime import timedelta

import pytest

from shared.internal_api.sms import AccountNotice, Language, Purpose
from sms_service.messages.segments import segments
from sms_service.messages.templates import (
    BUILT_IN,
    MESSAGE_KINDS,
    Autofill,
    MessageContext,
    Scope,
    Texts,
    most_specific,
)
from sms_service.otp import CODE_LIFETIME

CHINESE, ENGLISH = Language.CHINESE, Language.ENGLISH
HASH = "FA+9qCX9VSu"


def text_of(
    texts: Texts = BUILT_IN,
    purpose: Purpose = Purpose.SIGN_UP,
    language: Language = ENGLISH,
    number: str = "+8613800138000",
    dialect: str = "maitian",
    client: str = "",
    seconds: float = CODE_LIFETIME.total_seconds(),
    notice: AccountNotice = AccountNotice.NONE,
) -> str:
    context = MessageContext(purpose, language, number, dialect, client, notice)
    return texts.compose("012345", context, timedelta(seconds=seconds))


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_has_a_chinese_text(purpose: Purpose) -> None:
    text = text_of(purpose=purpose, language=CHINESE)
    assert text.startswith("【好码】")
    assert "验证码 012345，" in text
    assert "5 分钟内有效" in text
    assert segments(text) == 1


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_has_an_english_text(purpose: Purpose) -> None:
    text = text_of(purpose=purpose)
    assert text.startswith("[Haoma] 012345 is your code to ")
    assert "5 minutes." in text
    assert segments(text) == 1


def test_each_purpose_has_its_own_text() -> None:
    for language in Language:
        assert len({text_of(purpose=purpose, language=language) for purpose in Purpose}) == len(Purpose)


@pytest.mark.parametrize(("purpose", "notice"), [kind for kind in MESSAGE_KINDS if kind[1]])
def test_a_notice_tells_the_owner_of_the_number_whether_they_have_an_account_and_has_the_code(
    purpose: Purpose, notice: AccountNotice
) -> None:
    english, chinese = (text_of(purpose=purpose, language=each, notice=notice) for each in (ENGLISH, CHINESE))
    has_account = notice is AccountNotice.REGISTERED
    assert ("You already have an account." if has_account else "This number has no account.") in english
    assert ("您已有账号" if has_account else "您还没有账号") in chinese
    for text in (english, chinese):
        assert "012345" in text
        assert segments(text) == 1


def test_a_template_for_messages_without_a_notice_never_hides_one() -> None:
    texts = Texts(
        [
            (Scope(notice=AccountNotice.NONE), "plain {code}"),
            (Scope(notice=AccountNotice.NONE, dialect="maitian", purpose=Purpose.SIGN_UP), "of maitian {code}"),
            (Scope(notice=AccountNotice.REGISTERED), "you are a member {code}"),
        ]
    )
    assert text_of(texts) == "of maitian 012345"
    assert text_of(texts, notice=AccountNotice.REGISTERED) == "you are a member 012345"
    assert "This number has no account." in text_of(texts, Purpose.SIGN_IN, notice=AccountNotice.NO_ACCOUNT)


@pytest.mark.parametrize(("seconds", "minutes"), [(299.9, 5), (241, 5), (240, 4), (61, 2), (60, 1), (1, 1)])
def test_a_text_contains_the_minutes_that_are_left(seconds: float, minutes: int) -> None:
    assert f"，{minutes} 分钟内有效" in text_of(language=CHINESE, seconds=seconds)
    unit = "minute" if minutes == 1 else "minutes"
    assert f"valid for {minutes} {unit}. " in text_of(seconds=seconds)


def test_the_operators_templates_come_before_the_built_in_ones() -> None:
    texts = Texts([(Scope(language=ENGLISH), "{signature}: {code} ({minutes})")], [(Scope(), "Acme")])
    assert text_of(texts) == "Acme: 012345 (5 minutes)"
    assert text_of(texts, seconds=59) == "Acme: 012345 (1 minute)"
    assert text_of(texts, language=CHINESE) == "Acme注册验证码 012345，5 分钟内有效，请勿泄露。"


def test_a_signature_may_be_left_to_the_carrier() -> None:
    texts = Texts(signatures=[(Scope(prefix="+86"), "")])
    assert text_of(texts).startswith("012345 is your code")
    assert text_of(texts, number="+85261234567").startswith("[Haoma] 012345")


def test_braces_in_a_signature_are_not_placeholders() -> None:
    assert text_of(Texts(signatures=[(Scope(), "{code}")])).startswith("{code} 012345 is")


ORDER = [
    Scope(),
    Scope(language=ENGLISH),
    Scope(purpose=Purpose.SIGN_UP),
    Scope(purpose=Purpose.SIGN_UP, language=ENGLISH),
    Scope(prefix="+8"),
    Scope(prefix="+86"),
    Scope(prefix="+86", purpose=Purpose.SIGN_UP, language=ENGLISH),
    Scope(prefix="+8613"),
    Scope(client="ios"),
    Scope(client="ios", prefix="+86"),
    Scope(dialect="native"),
    Scope(dialect="native", prefix="+86"),
    Scope(dialect="native", client="ios"),
]
"""From the scope that covers everything to the most specific one."""
FULL = MessageContext(Purpose.SIGN_UP, ENGLISH, "+8613800138000", "native", "ios")


@pytest.mark.parametrize("most", range(len(ORDER)))
def test_the_most_specific_entry_wins_at_any_place_in_the_file(most: int) -> None:
    entries = [(scope, position) for position, scope in enumerate(ORDER[: most + 1])]
    random.Random(most).shuffle(entries)
    assert most_specific(entries, FULL) == most


@pytest.mark.parametrize(
    "other",
    [
        Scope(dialect="tel"),
        Scope(client="android"),
        Scope(prefix="+852"),
        Scope(purpose=Purpose.SIGN_IN),
        Scope(language=CHINESE),
    ],
)
def test_an_entry_for_other_messages_is_never_used(other: Scope) -> None:
    assert most_specific([(other, "theirs")], FULL) is None
    assert most_specific([(other, "theirs"), (Scope(), "ours")], FULL) == "ours"


def test_of_two_scopes_that_cover_a_message_one_is_more_specific() -> None:
    covering = [scope for scope in ORDER if scope.covers(FULL)]
    assert len(covering) == len(ORDER)
    for one, other in itertools.combinations(covering, 2):
        assert one.rank < other.rank


@pytest.mark.parametrize(
    ("autofill", "last"),
    [
        (Autofill(app_hash=HASH), HASH),
        (Autofill(domain="haoma.example.com"), "@haoma.example.com #012345"),
        (Autofill(HASH, "www.example.com"), f"@www.example.com #012345 {HASH}"),
    ],
)
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("purpose", Purpose)
def test_the_last_line_is_for_autofill(autofill: Autofill, last: str, language: Language, purpose: Purpose) -> None:
    text = text_of(Texts(autofills=[(Scope(), autofill)]), purpose, language)

    assert text.split("\n") == [text_of(purpose=purpose, language=language), last]
    assert len(text.encode()) <= 140  # Android passes no longer message to an app
    assert segments(text) == 1


def test_a_chinese_text_with_hash_and_a_long_domain_takes_two_segments() -> None:
    """A segment holds 70 Chinese characters, and 160 English ones."""
    texts = Texts(autofills=[(Scope(), Autofill(HASH, "accounts.example.com"))])
    assert [segments(text_of(texts, language=language)) for language in (CHINESE, ENGLISH)] == [2, 1]


@pytest.mark.parametrize(("app_hash", "longest"), [("", 27), (HASH, 15)])
def test_the_domain_may_be_as_long_as_the_documentation_says(app_hash: str, longest: int) -> None:
    for length, most in ((longest, 1), (longest + 1, 2)):
        texts = Texts(autofills=[(Scope(), Autofill(app_hash, "d" * (length - 4) + ".com"))])
        assert max(segments(text_of(texts, purpose, CHINESE)) for purpose in Purpose) == most


def test_only_the_configured_apps_get_a_last_line() -> None:
    texts = Texts(
        autofills=[(Scope(dialect="native"), Autofill(HASH)), (Scope(client="web"), Autofill("", "a.example"))]
    )
    assert text_of(texts).count("\n") == 0
    assert text_of(texts, dialect="native").endswith("\n" + HASH)
    assert text_of(texts, client="web").endswith("\n@a.example #012345")
    assert text_of(texts, dialect="native", client="web").endswith("\n" + HASH)  # a dialect is more specific
