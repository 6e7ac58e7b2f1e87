"""Alerts and dashboards: each reads metrics that exist, and each alert leads to a runbook that says what to do."""

import json
import re
from typing import Any

import pytest
from architecture.metrics import declared, used
from architecture.tree import ROOT
from ruamel.yaml import YAML

MONITORING = ROOT / "deploy" / "monitoring"
RUNBOOKS = ROOT / "docs" / "operations" / "runbooks"
RULES: list[dict[str, Any]] = [
    rule for group in YAML(typ="safe").load(MONITORING / "alerts.yml")["groups"] for rule in group["rules"]
]
ALERTS = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
HEADING = re.compile(r"^## (Haoma\w+)$", re.MULTILINE)
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))


@ALERTS
def test_an_alert_reads_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert used(rule["expr"]) <= declared().keys()
    assert used(rule["expr"]) or "up{" in rule["expr"]


@ALERTS
def test_an_alert_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    assert rule["alert"] in HEADING.findall((ROOT / page).read_text())


@ALERTS
def test_an_alert_says_in_a_line_what_is_wrong_and_how_urgent_it_is(rule: dict[str, Any]) -> None:
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert 20 < len(rule["annotations"]["summary"]) < 140


def test_every_runbook_is_that_of_an_alert() -> None:
    described = [name for page in sorted(RUNBOOKS.glob("*.md")) for name in HEADING.findall(page.read_text())]
    assert sorted(described) == sorted(rule["alert"] for rule in RULES)


def test_runbooks_and_the_page_on_monitoring_name_metrics_that_exist() -> None:
    pages = [*RUNBOOKS.glob("*.md"), RUNBOOKS.parent / "monitoring.md"]
    assert {name for page in pages for name in used(page.read_text())} <= declared().keys()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_reads_metrics_that_exist(path: Any) -> None:
    panels = [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert panels
    assert {name for each in expressions for name in used(each)} <= declared().keys()
    assert all(used(each) or "process_" in each or "up{" in each for each in expressions)
