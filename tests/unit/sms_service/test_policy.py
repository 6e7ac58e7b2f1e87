"""What the settings of sms-service promise: figures that follow from the settings and the limits themselves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.policy.lines import PolicyLine
from sms_service.policy.command import lines, print_policy
from sms_service.policy.dialects import DialectRules
from sms_service.settings import PolicySettings
from sms_service.verification.limits import FAILURES_PER_WINDOW

TEL = DialectRules("tel", 60, 3)
SPENDING = """\
[spending]
currency = "CNY"

[senders.first]
type = "webhook"
url = "https://sms.example.com/send"
secret_env = "HOOK"
[senders.first.prices]
"+86" = "0.05"
"+" = "0.40"

[senders.second]
type = "webhook"
url = "https://sms.example.com/send"
secret_env = "HOOK"
[senders.second.prices]
"+" = "0.10"

[[routes]]
prefix = "+"
senders = ["first", "second"]

[[budgets]]
prefix = "+86"
hour = "50.00"
day = "500.00"
"""


def promises(environ: Mapping[str, str] | None = None, *dialects: DialectRules) -> dict[str, PolicyLine]:
    settings = PolicySettings.from_env({"ENVIRONMENT": "development", **(environ or {})})
    return {line.name: line for line in lines(settings, dialects)}


@pytest.fixture
def with_spending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("HOOK", "a secret of this webhook")
    file = tmp_path / "sms.toml"
    file.write_text(SPENDING)
    return {"SMS_CONFIG_FILE": str(file)}


def test_strangers_guess_as_often_as_a_number_accepts_incorrect_codes() -> None:
    found = promises()
    assert found["guess.code.strangers"].at_most == FAILURES_PER_WINDOW
    assert found["guess.code.strangers"].note.startswith("a chance of 0.001 %")
    assert found["guess.code.neighbour"].at_most == 2 * FAILURES_PER_WINDOW


def test_a_setting_changes_the_promise_that_follows_from_it() -> None:
    raised = {"CALLER_SENDS_PER_NETWORK_HOUR": "1000", "CALLER_WRONG_CODES_PER_NETWORK_HOUR": "10"}
    found = promises(raised)
    assert found["spend.network"].at_most == 2000 + 1000
    assert found["learn.look-ups.network"].at_most == 25 * (1000 + 3000)
    assert found["guess.code.spread"].at_most == 25 * 10
    assert found["guess.code.spread-unowned"].at_most == 25 * 10 + 25 * 1000


def test_without_limits_on_callers_nothing_is_promised_about_networks() -> None:
    found = promises({"CALLER_LIMITS": "off"})
    for name in ("spend.network", "spend.site", "learn.look-ups.network", "learn.look-ups.site"):
        assert found[name].at_most is None
    assert not {"guess.code.spread", "guess.code.spread-unowned"} & found.keys()
    assert found["guess.code.strangers"].at_most == FAILURES_PER_WINDOW
    assert found["keep-out.code.unowned"].at_most == 86_400


def test_a_contract_has_the_cooldown_and_the_cap_of_its_own() -> None:
    found = lines(PolicySettings.from_env({"ENVIRONMENT": "development"}), [TEL, DialectRules("phone_info", 120, 10)])
    cooldowns = {line.dialects: line.at_most for line in found if line.name == "keep-out.code.cooldown"}
    owners = {line.dialects: line for line in found if line.name == "keep-out.code.owner"}
    assert cooldowns == {("tel",): 360, ("phone_info",): 720}
    assert {line.at_most for line in owners.values()} == {0}
    assert "an owner gets 3 codes a day" in owners["tel",].note
    assert "an owner gets 4 codes a day" in owners["phone_info",].note


def test_without_prices_the_bill_is_a_number_of_messages_and_has_no_end() -> None:
    found = promises()
    assert (found["spend.network"].at_most, found["spend.site"].at_most) == (1200 + 600, 3600 + 1800)
    assert found["spend.all"].at_most is None


def test_the_worst_bill_counts_both_attempts_and_every_segment(with_spending: dict[str, str]) -> None:
    note = promises(with_spending)["spend.network"].note
    # 1,800 messages of one segment, by both senders of the route: 0.05 + 0.10, and 0.40 + 0.10.
    assert note == "600 of them by callers who are known to the number; at most +: CNY 900.00, +86: CNY 270.00"


def test_what_is_kept_behind_an_address_for_known_callers_follows_from_its_limit() -> None:
    assert "then 60 codes an hour are left" in promises()["keep-out.code.everybody"].cost
    few = promises({"CALLER_SENDS_PER_ADDRESS_HOUR": "1"})["keep-out.code.everybody"]
    assert (few.at_most, "then 1 codes an hour" in few.cost) == (0, True)
    assert promises({"CALLER_LIMITS": "off"})["keep-out.code.everybody"].cost == "CALLER_LIMITS=off"


def test_a_budget_is_promised_and_what_has_none_is_not(with_spending: dict[str, str]) -> None:
    found = promises(with_spending)
    assert (found["spend.budget.+86"].at_most, found["spend.budget.+86"].unit) == (50.0, "CNY in an hour")
    assert found["spend.all"].at_most is None


def test_rules_that_are_malformed_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    settings = PolicySettings.from_env({"ENVIRONMENT": "development"})
    with pytest.raises(SystemExit) as exited:
        print_policy(settings, ["tel:60"], as_json=False)
    assert exited.value.code == 2
    assert "expected NAME:COOLDOWN:CAP" in capsys.readouterr().err


def test_the_command_prints_every_line(capsys: pytest.CaptureFixture[Any]) -> None:
    print_policy(PolicySettings.from_env({"ENVIRONMENT": "development"}), ["tel:60:3"], as_json=False)
    assert "a chance of 0.001 %" in capsys.readouterr().out
