"""The tables of texts in the settings file: what they may contain, the line of each error, and the warnings."""

import re
from collections.abc import Iterable
from datetime import timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.process.settings import load
from sms_service.config_loader import InvalidConfigError, SmsConfig, read
from sms_service.messages.config import AutofillPart, MessageTables, SignaturePart, TextPart
from sms_service.messages.templates import MESSAGE_KINDS, MessageContext
from sms_service.settings import WorkerSettings
from sms_service.worker import create_worker

PREFIXES = ["+", "+1", "+12", "+86"]
HEAD = """\
[senders.inbox]
type = "inbox"
[[routes]]
prefix = "+"
senders = ["inbox"]
"""
GOOD = """
[[signatures]]
signature = "[Acme]"
language = "en"

[[texts]]
language = "en"
text = "{signature} {code}, good for {minutes}"

[[texts]]
language = "zh"
purpose = "sign_in"
prefix = "+852"
dialect = "native"
text = "{signature}{code} 登入驗證碼，{minutes}內有效"

[[autofill]]
dialect = "native"
client = "android"
app_hash = "FA+9qCX9VSu"

[[autofill]]
dialect = "native"
domain = "example.com"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


def reading(file: Path, text: str) -> SmsConfig:
    file.write_text(HEAD + text)
    return read(file, {}, inbox_allowed=True)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(InvalidConfigError) as refused:
        reading(file, text)
    return str(refused.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("context", "text"),
    [
        (MessageContext(Purpose.SIGN_UP, Language.ENGLISH, "+12025550123", "tel"), "[Acme] 012345, good for 5 minutes"),
        (
            MessageContext(Purpose.SIGN_IN, Language.CHINESE, "+85261234567", "native", "android"),
            "【好码】012345 登入驗證碼，5 分钟內有效\nFA+9qCX9VSu",
        ),
        (
            MessageContext(Purpose.SIGN_IN, Language.ENGLISH, "+85261234567", "native", "web"),
            "[Acme] 012345, good for 5 minutes\n@example.com #012345",
        ),
        (
            MessageContext(Purpose.SIGN_IN, Language.CHINESE, "+8613800138000", "tel"),
            "【好码】登录验证码 012345，5 分钟内有效，请勿泄露。",
        ),
    ],
)
def test_a_valid_file_determines_the_text(file: Path, context: MessageContext, text: str) -> None:
    words = reading(file, GOOD).message_tables.composer
    assert words.compose("012345", context, timedelta(minutes=5)) == text


def test_the_examples_in_the_documentation_are_valid(file: Path) -> None:
    document = (Path(__file__).parents[3] / "docs" / "operations" / "texts.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    tables = reading(file, "\n".join(examples)).message_tables
    assert (len(tables.texts), len(tables.signatures), len(tables.autofill)) == (3, 2, 2)
    hong_kong = MessageContext(Purpose.SIGN_IN, Language.CHINESE, "+85261234567", "native")
    assert tables.composer.compose("012345", hong_kong, timedelta(minutes=5)).startswith(
        "【某某】012345 是您的登录验证码，5 分钟内有效"
    )
    mainland = MessageContext(Purpose.SIGN_IN, Language.CHINESE, "+8613800138000", "native")
    assert tables.composer.compose("012345", mainland, timedelta(minutes=5)).startswith("登录验证码 012345，")
    member = MessageContext(Purpose.SIGN_UP, Language.ENGLISH, "+12025550123", notice=AccountNotice.REGISTERED)
    assert "You are a member already. 012345 is your code." in tables.composer.compose(
        "012345", member, timedelta(minutes=5)
    )


def test_a_file_without_texts_uses_the_built_in_templates(file: Path) -> None:
    words = reading(file, "").message_tables.composer
    context = MessageContext(Purpose.SIGN_UP, Language.ENGLISH, "+8613800138000")
    assert words.compose("012345", context, timedelta(minutes=5)).startswith("[Haoma] 012345 is your code")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("{minutes}", "{hours}", "line 13: texts[0].text: the only placeholders are {code}, {minutes} and {signature}"),
        ("{minutes}", "{}", "line 13: texts[0].text: the only placeholders"),
        ("{minutes}", "{code.__class__}", "line 13: texts[0].text: the only placeholders"),
        ("{minutes}", "{minutes!r}", "line 13: texts[0].text: the only placeholders"),
        ("{minutes}", "{minutes:>9}", "line 13: texts[0].text: the only placeholders"),
        ("{minutes}", "{code", "line 13: texts[0].text: a brace has no partner"),
        ("{minutes}", "minutes}", "line 13: texts[0].text: a brace has no partner"),
        ("{code},", "Nothing,", "line 13: texts[0].text: {code} is missing"),
        ("{code},", "{{code}},", "line 13: texts[0].text: {code} is missing"),
        ("{code},", "{code}\\u0000,", "line 13: texts[0].text: contains a control character"),
        ("good for", "good " * 95, "line 13: texts[0].text: "),
        ("good for", "good " * 90, "line 11: texts[0]: takes 4 segments, and the maximum is 3"),
        ('text = "{signature} {code}, good for {minutes}"', "", "line 11: texts[0].text: Field required"),
        ('[[texts]]\nlanguage = "en"', "[[texts]]", "line 11: texts[0].language: Field required"),
        ('[[texts]]\nlanguage = "en"', '[[texts]]\nlanguage = "fr"', "line 12: texts[0].language: "),
        ('purpose = "sign_in"', 'purpose = "greeting"', "line 17: texts[1].purpose: "),
        ('prefix = "+852"', 'prefix = "852"', "line 18: texts[1].prefix: "),
        ('dialect = "native"\ntext', 'dialect = "Na tive"\ntext', "line 19: texts[1].dialect: "),
        ('purpose = "sign_in"', 'client = "ios"', "line 17: texts[1].client: "),
        ('"[Acme]"', '"[Acme]\\n"', "line 8: signatures[0].signature: "),
        ('"[Acme]"', f'"{"A" * 33}"', "line 8: signatures[0].signature: "),
        ('"FA+9qCX9VSu"', '"FA+9qCX9VS"', "line 25: autofill[0].app_hash: "),
        ('"FA+9qCX9VSu"', '"FA+9qCX9VS="', "line 25: autofill[0].app_hash: "),
        ('"FA+9qCX9VSu"', '"FA+9qCX9VSuu"', "line 25: autofill[0].app_hash: "),
        ('app_hash = "FA+9qCX9VSu"', "", "line 22: autofill[0]: needs app_hash, domain, or both"),
        ('"example.com"', '"https://example.com"', "line 29: autofill[1].domain: "),
        ('"example.com"', '"example.com:8080"', "line 29: autofill[1].domain: "),
        ('"example.com"', '"Example.com"', "line 29: autofill[1].domain: "),
        ('"example.com"', '"localhost"', "line 29: autofill[1].domain: "),
        ('"example.com"', '"10.0.0.1"', "line 29: autofill[1].domain: "),
        ('"example.com"', '"-a.example.com"', "line 29: autofill[1].domain: "),
        ('"example.com"', '"a..example.com"', "line 29: autofill[1].domain: "),
        ('"example.com"', f'"{"a." * 125}example"', "line 29: autofill[1].domain: "),
        ('client = "android"\n', "", "line 26: autofill[1]: applies to the same messages as an earlier entry"),
    ],
)
def test_an_invalid_text_is_refused_with_its_line(file: Path, old: str, new: str, reason: str) -> None:
    assert old in GOOD
    assert reason in refusal(file, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ('[[texts]]\nlanguage = "en"\ntext = "{code}"\n', "line 9: texts[1]"),
        ('[[signatures]]\nsignature = "A"\nprefix = "+86"\n', "line 9: signatures[1]"),
    ],
)
def test_two_entries_for_the_same_messages_are_refused(file: Path, table: str, line: str) -> None:
    assert refusal(file, table * 2) == f"{line}: applies to the same messages as an earlier entry"


def test_a_text_too_long_for_an_android_app_is_refused_if_there_is_an_app(file: Path) -> None:
    multi_segment = f'[[texts]]\nlanguage = "en"\npurpose = "sign_in"\ntext = "{{code}} {"is your code " * 10}"\n'
    reading(file, multi_segment)
    reason = "line 6: texts[0]: with app_hash, the en text for sign_in has 148 bytes, and Android passes at most 140 to an app"
    assert refusal(file, multi_segment + '[[autofill]]\napp_hash = "FA+9qCX9VSu"\n') == reason

    domain = "a-very-long-name-of-a-domain.example.com"
    named = f'[[autofill]]\ndomain = "{domain}"\n'
    reading(file, named)
    assert "line 6: autofill[0]: with app_hash, the en text for " in refusal(file, named + 'app_hash = "FA+9qCX9VSu"\n')


def full(prefix: str, dialect: str) -> str:
    """A file with the maximum of texts, signatures and autofill lines, each with its own scope."""
    parts = [
        f'[[{table}]]\n{key} = "{value}"\n' + (f'dialect = "{name}{n}"\n' if dialect or table == "autofill" else "")
        + (f'prefix = "+{digit}{n:03}"\n' if prefix and table != "autofill" else "")
        + ('language = "zh"\n' if table == "texts" else "")
        for table, most, key, value, name, digit in (
            ("texts", 100, "text", "{code}", "t", 1),
            ("signatures", 20, "signature", "S", "s", 2),
            ("autofill", 20, "domain", "example.com", "a", 0),
        )
        for n in range(most)
    ]  # fmt: skip
    return "".join(parts)


def contexts(file: Path, prefix: str, dialect: str) -> tuple[int, int]:
    """How many texts a full file can make, and how many intersections of its scopes are checked."""
    tables = reading(file, full(prefix, dialect)).message_tables
    return len(list(tables._contexts())), len(tables._scope_intersections())


def test_a_full_file_is_checked_at_the_intersections_of_its_scopes_only(file: Path) -> None:
    texts, ours = 100, (len(Purpose) + 2) * len(Language)  # those of two notices are the same for each purpose
    # Each entry has its own dialect and prefix, so no two scopes intersect.
    assert contexts(file, "prefix", "dialect") == (texts + 20 * ours + 20 * ours + ours, 1 + 100 + 20 + 20)
    # Each autofill line intersects all templates and signatures, and those have their own numbers.
    assert contexts(file, "prefix", "") == (21 * (texts + 20 * ours + ours), 21 * (1 + 100 + 20))


def test_a_text_that_only_two_entries_make_together_is_checked(file: Path) -> None:
    template = f'[[texts]]\nlanguage = "en"\nprefix = "+1"\ntext = "{{signature}}{{code}}{"a" * 440}"\n'
    signature = f'[[signatures]]\nsignature = "{"S" * 32}"\ndialect = "native"\nprefix = "+1202"\n'
    reading(file, template)
    reading(file, signature)
    assert refusal(file, template + signature).endswith("texts[0]: takes 4 segments, and the maximum is 3")


def drawn(draw: Random) -> MessageTables:
    """Random entries, no two of one table with the same scope."""

    def scopes(most: int, **choices: list[Any]) -> list[dict[str, Any]]:
        every = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
        return [{k: v for k, v in one.items() if v} for one in draw.sample(every, draw.randint(0, most))]

    place = {"prefix": PREFIXES, "dialect": ["", "a", "b"]}
    texts = scopes(8, **place, purpose=["", *Purpose], notice=list(AccountNotice), language=list(Language))
    signatures = scopes(4, **place, language=["", *Language])
    autofill = scopes(4, dialect=["", "a", "b"], client=["", "x"])
    return MessageTables(
        [TextPart(text=f"{{signature}} {n} {{code}}", **scope) for n, scope in enumerate(texts)],
        [SignaturePart(signature=f"s{n}", **scope) for n, scope in enumerate(signatures)],
        [AutofillPart(domain=f"e{n}.com", **scope) for n, scope in enumerate(autofill)],
    )


@pytest.mark.parametrize("seed", range(40))
def test_every_text_that_the_tables_can_make_is_checked(seed: int) -> None:
    tables = drawn(Random(seed))
    slots = product(MESSAGE_KINDS, Language, PREFIXES, ["a", "b", "other"], ["x", "other"])
    everywhere = [MessageContext(p, language, f"{prefix}999", d, c, n) for (p, n), language, prefix, d, c in slots]

    def texts(contexts: Iterable[MessageContext]) -> set[str]:
        return {tables.composer.compose("012345", context, timedelta(minutes=5)) for context in contexts}

    assert texts(everywhere) == texts(tables._contexts())


def test_a_template_can_contain_a_brace(file: Path) -> None:
    words = reading(file, '[[texts]]\nlanguage = "en"\ntext = "{{{code}}}"\n').message_tables.composer
    context = MessageContext(Purpose.SIGN_UP, Language.ENGLISH, "+12025550123")
    assert words.compose("012345", context, timedelta(minutes=5)) == "{012345}"


def test_the_worker_logs_once_each_text_that_takes_several_segments(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(HEAD + f'[[texts]]\nlanguage = "zh"\ntext = "{{code}}{"长" * 70}"\n')
    servers = {"POSTGRES_URL": "postgresql://db", "REDIS_URL": "redis://cache", "AMQP_URL": "amqp://broker"}
    for name, value in (servers | {"ENVIRONMENT": "development", "SMS_CONFIG_FILE": str(file)}).items():
        monkeypatch.setenv(name, value)

    with capture_logs() as logs:
        create_worker(load(WorkerSettings, "sms-worker"))

    (warning,) = [line for line in logs if line["event"] == "text.segmented"]
    assert warning == {
        "event": "text.segmented",
        "log_level": "warning",
        "where": "texts[0]",
        "purpose": "sign_up",
        "language": "zh",
        "segments": 2,
    }
