"""The tables of the settings file about money: read, or refused with the line that is wrong."""

import re
from pathlib import Path

import pytest

from sms_service.config_loader import INBOX_ONLY, InvalidConfigError, read
from sms_service.spending.money import Budget
from sms_service.spending.policy import Rule

GOOD = """\
[spending]
currency = "CNY"
warn_percent = 90
known_percent = 30

[spending.range]
flag = 10
throttle = 20
block = 30

[senders.main]
type = "webhook"
url = "https://sms.example.com/send"
secret_env = "HOOK"

[senders.main.prices]
"+86" = "0.045"
"+" = "0.4"

[senders.inbox]
type = "inbox"

[[routes]]
prefix = "+86"
senders = ["main", "inbox"]

[[budgets]]
prefix = "+86"
hour = "50.00"
day = "500"

[[budgets]]
prefix = "+"
day = "600"
"""
DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "spending.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


def test_a_valid_file_makes_a_plan(file: Path) -> None:
    file.write_text(GOOD)
    plan = read(file, {"HOOK": "secret"}, inbox_allowed=True).plan
    assert plan is not None
    assert (plan.currency, plan.enforced, plan.warn_percent, plan.block_seconds) == ("CNY", True, 90, 3600)
    assert plan.budgets == (Budget("+86", 50_000_000, 500_000_000, 30), Budget("+", None, 600_000_000, 30))
    assert plan.limits_of_strangers == {
        ("+86", "hour"): 35_000_000,
        ("+86", "day"): 350_000_000,
        ("+", "day"): 42 * 10**7,
    }
    assert plan.rules["range"] == Rule(10, 20, 30, 6, 25)
    assert plan.rules["network"] == Rule(200, 400, 0, 60, 25)
    assert (plan.tariff.price("main", "+8613800138000"), plan.tariff.price("main", "+1")) == (45_000, 400_000)
    assert plan.tariff.price("inbox", "+8613800138000") == 0


def test_without_the_table_there_is_no_plan_and_nothing_is_decided() -> None:
    assert INBOX_ONLY.plan is None
    assert not INBOX_ONLY.says_what_may_be_spent


def test_the_word_none_decides_that_there_is_no_plan(file: Path) -> None:
    file.write_text('spending = "none"\n[senders.a]\ntype = "inbox"\n[[routes]]\nprefix = "+"\nsenders = ["a"]\n')
    config = read(file, {}, inbox_allowed=True)
    assert config.plan is None
    assert config.says_what_may_be_spent


@pytest.mark.parametrize("value", ['"off"', '"NONE"', '""', "false", "0", "[]"])
def test_no_other_word_decides_about_spending(file: Path, value: str) -> None:
    file.write_text(f"spending = {value}\n")
    with pytest.raises(InvalidConfigError, match="line 1: spending: write a table"):
        read(file, {}, inbox_allowed=True)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('currency = "CNY"', 'currency = "yuan"', "line 2: spending.currency: "),
        ('currency = "CNY"\n', "", "line 1: spending.currency: Field required"),
        ("warn_percent = 90", "warn_percent = 0", "line 3: spending.warn_percent: "),
        ("known_percent = 30", "known_percent = 100", "line 4: spending.known_percent: "),
        ("known_percent = 30", "known_percent = -1", "line 4: spending.known_percent: "),
        ("warn_percent = 90", 'mode = "record"', "line 3: spending.mode: "),
        ("warn_percent = 90", "budget = 3", "line 3: spending.budget: "),
        (
            "throttle = 20",
            "throttle = 40",
            "line 6: spending.range: throttle must not be below flag, nor block below throttle",
        ),
        ("throttle = 20", "throttle = -1", "line 8: spending.range.throttle: "),
        ("throttle = 20", "throttle = true", "line 8: spending.range.throttle: "),
        ("throttle = 20", "throttle = 20\nper_minute = 99999999999", "line 9: spending.range.per_minute: "),
        ('"+86" = "0.045"', '"+86" = 0.045', 'line 17: senders.main.prices.+86: expected an amount such as "0.045"'),
        ('"+86" = "0.045"', '"+86" = "0,045"', "line 17: senders.main.prices.+86: expected an amount"),
        ('"+86" = "0.045"', '"86" = "0.045"', "line 17: senders.main.prices.86: "),
        ('"+86" = "0.045"\n"+" = "0.4"', '"+1" = "0.4"', 'routes[0].senders: sender "main" has no price for +86'),
        ('hour = "50.00"', 'hour = "501"', "line 29: budgets[0].hour: must not exceed day"),
        ('hour = "50.00"', "hour = 50.0", 'line 29: budgets[0].hour: expected an amount such as "0.045"'),
        ('day = "600"\n', "", "line 32: budgets[1]: needs hour, day, or both"),
        (
            'prefix = "+"\n',
            'prefix = "+86"\n',
            "line 33: budgets[1].prefix: is already the prefix of an earlier budget",
        ),
        ('prefix = "+"\n', 'prefix = "world"\n', "line 33: budgets[1].prefix: "),
    ],
)
def test_an_invalid_file_is_refused_with_its_line(file: Path, old: str, new: str, error: str) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InvalidConfigError) as refused:
        read(file, {"HOOK": "secret"}, inbox_allowed=True)
    assert error in str(refused.value)


@pytest.mark.parametrize("what", ["prices", "budgets"])
def test_amounts_without_a_currency_are_refused(file: Path, what: str) -> None:
    text = GOOD[GOOD.index("[senders.main]") :]
    text = text[: text.index("[[budgets]]")] if what == "prices" else re.sub(r'"\+.*" = .*\n', "", text)
    file.write_text(text)
    with pytest.raises(InvalidConfigError, match=rf"{what}: needs a \[spending\] table that names the currency"):
        read(file, {"HOOK": "secret"}, inbox_allowed=True)


def test_the_example_in_the_documentation_is_valid(file: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    file.write_text(example)
    environ = dict.fromkeys(re.findall(r'_env = "([A-Z_]+)"', example), "123456")
    plan = read(file, environ, inbox_allowed=False).plan
    assert plan is not None
    assert plan.budgets
