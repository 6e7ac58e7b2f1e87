"""What the gateway tells about its contracts: their rules, and the calls that promises are about."""

import inspect
import json
import sys

import pytest

from gateway.dialect import Dialect
from gateway.dialect_registry import installed_dialects
from gateway.policy import calls_of, print_policy
from gateway.settings import GatewaySettings

FLOWS = {"log_in": ".log_in_with_password(", "contacts": ".self_service.match_contacts"}


@pytest.mark.parametrize("dialect", installed_dialects(), ids=lambda dialect: dialect.name)
def test_the_calls_of_a_contract_are_those_whose_flows_it_uses(dialect: Dialect) -> None:
    source = inspect.getsource(sys.modules[f"gateway.dialects.{dialect.name}"])
    used = [call for call, flow in FLOWS.items() if flow in source]
    assert calls_of(dialect, tells_accounts=True) == ["code", "existence", *used]
    assert calls_of(dialect, tells_accounts=False) == ["code", *used]


def test_only_the_contracts_that_are_on_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    settings = GatewaySettings.from_env({"ENVIRONMENT": "development", "DIALECTS": "tel,phone_info"})
    print_policy(settings, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["cooldown"], each["daily_cap"]) for each in listed] == [
        ("tel", 60, 3),
        ("phone_info", 120, 10),
    ]


def test_people_read_one_line_for_each_contract(capsys: pytest.CaptureFixture[str]) -> None:
    print_policy(GatewaySettings.from_env({"ENVIRONMENT": "development", "DIALECTS": "tel"}), as_json=False)
    assert capsys.readouterr().out == "tel: cooldown 60 s, 3 codes a day; code, existence, log_in\n"
