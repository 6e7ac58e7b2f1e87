"""What a message says: our words, the operator's over them, and the line that phones fill codes in from."""

import itertools
import random
from datetime import timedelta

import pytest

from shared.internal_api.sms import Language, Purpose
from sms_service.messages.segments import segments
from sms_service.messages.templates import BUILT_IN, Autofill, MessageContext, Scope, Texts, most_specific
from sms_service.otp import CODE_LIFETIME

CHINESE, ENGLISH = Language.CHINESE, Language.ENGLISH
HASH = "FA+9qCX9VSu"


def said(
    texts: Texts = BUILT_IN,
    purpose: Purpose = Purpose.SIGN_UP,
    language: Language = ENGLISH,
    number: str = "+8613800138000",
    dialect: str = "maitian",
    client: str = "",
    seconds: float = CODE_LIFETIME.total_seconds(),
) -> str:
    return texts.compose(
        "012345", MessageContext(purpose, language, number, dialect, client), timedelta(seconds=seconds)
    )


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_has_words(purpose: Purpose) -> None:
    text = said(purpose=purpose, language=CHINESE)
    assert text.startswith("【好码】验证码 012345，用于")
    assert "5 分钟内有效" in text
    assert segments(text) == 1


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_has_english_words(purpose: Purpose) -> None:
    text = said(purpose=purpose)
    assert text.startswith("[Haoma] 012345 is your code to ")
    assert "5 minutes." in text
    assert segments(text) == 1


def test_each_purpose_is_told_from_the_others() -> None:
    for language in Language:
        assert len({said(purpose=purpose, language=language) for purpose in Purpose}) == len(Purpose)


@pytest.mark.parametrize(("seconds", "minutes"), [(299.9, 5), (241, 5), (240, 4), (61, 2), (60, 1), (1, 1)])
def test_a_text_tells_the_minutes_that_are_left(seconds: float, minutes: int) -> None:
    assert f"，{minutes} 分钟内有效" in said(language=CHINESE, seconds=seconds)
    unit = "minute" if minutes == 1 else "minutes"
    assert f"valid for {minutes} {unit}. " in said(seconds=seconds)


def test_the_words_of_the_operator_come_before_ours() -> None:
    texts = Texts([(Scope(language=ENGLISH), "{signature}: {code} ({minutes})")], [(Scope(), "Acme")])
    assert said(texts) == "Acme: 012345 (5 minutes)"
    assert said(texts, seconds=59) == "Acme: 012345 (1 minute)"
    assert said(texts, language=CHINESE) == "Acme验证码 012345，用于注册，5 分钟内有效，请勿泄露。"


def test_a_signature_may_be_left_to_the_carrier() -> None:
    texts = Texts(signatures=[(Scope(prefix="+86"), "")])
    assert said(texts).startswith("012345 is your code")
    assert said(texts, number="+85261234567").startswith("[Haoma] 012345")


def test_braces_of_a_signature_are_only_braces() -> None:
    assert said(Texts(signatures=[(Scope(), "{code}")])).startswith("{code} 012345 is")


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
"""From what covers everything to the most particular."""
FULL = MessageContext(Purpose.SIGN_UP, ENGLISH, "+8613800138000", "native", "ios")


@pytest.mark.parametrize("most", range(len(ORDER)))
def test_the_most_particular_wins_wherever_it_stands_in_the_file(most: int) -> None:
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
def test_what_is_for_others_is_never_taken(other: Scope) -> None:
    assert most_specific([(other, "theirs")], FULL) is None
    assert most_specific([(other, "theirs"), (Scope(), "ours")], FULL) == "ours"


def test_of_two_that_cover_one_occasion_one_is_more_particular() -> None:
    covering = [scope for scope in ORDER if scope.covers(FULL)]
    assert len(covering) == len(ORDER)
    for one, other in itertools.combinations(covering, 2):
        assert one.rank < other.rank


@pytest.mark.parametrize(
    ("autofill", "last"),
    [
        (Autofill(app_hash=HASH), HASH),
        (Autofill(domain="haoma.example.com"), "@haoma.example.com #012345"),
        (Autofill(HASH, "example.com"), f"@example.com #012345 {HASH}"),
    ],
)
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("purpose", Purpose)
def test_the_last_line_is_for_who_fills_codes_in(
    autofill: Autofill, last: str, language: Language, purpose: Purpose
) -> None:
    text = said(Texts(autofills=[(Scope(), autofill)]), purpose, language)

    assert text.split("\n") == [said(purpose=purpose, language=language), last]
    assert len(text.encode()) <= 140  # more is not handed to an app
    assert segments(text) == 1


def test_a_chinese_text_with_hash_and_a_long_domain_takes_two_short_messages() -> None:
    """It has 70 characters, of which a long domain may take what is left; an English one has 160."""
    texts = Texts(autofills=[(Scope(), Autofill(HASH, "login.example.com"))])
    assert [segments(said(texts, language=language)) for language in (CHINESE, ENGLISH)] == [2, 1]


@pytest.mark.parametrize(("app_hash", "longest"), [("", 24), (HASH, 12)])
def test_the_domain_may_be_as_long_as_the_documentation_says(app_hash: str, longest: int) -> None:
    for length, most in ((longest, 1), (longest + 1, 2)):
        texts = Texts(autofills=[(Scope(), Autofill(app_hash, "d" * (length - 4) + ".com"))])
        assert max(segments(said(texts, purpose, CHINESE)) for purpose in Purpose) == most


def test_only_the_apps_that_are_named_get_a_last_line() -> None:
    texts = Texts(
        autofills=[(Scope(dialect="native"), Autofill(HASH)), (Scope(client="web"), Autofill("", "a.example"))]
    )
    assert said(texts).count("\n") == 0
    assert said(texts, dialect="native").endswith("\n" + HASH)
    assert said(texts, client="web").endswith("\n@a.example #012345")
    assert said(texts, dialect="native", client="web").endswith("\n" + HASH)  # a dialect is more particular
