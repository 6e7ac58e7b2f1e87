"""Metrics: named as Prometheus asks, listed on the page about monitoring, and with labels that hold no private value."""

import re
from pathlib import Path

import pytest
from architecture.metrics import Metric, declared
from architecture.tree import ROOT

PAGE = ROOT / "docs" / "operations" / "monitoring.md"
NAMES = re.compile(r"`([a-z_]+)`")
METRICS = pytest.mark.parametrize("metric", declared().values(), ids=lambda metric: metric.name)


def tables() -> list[tuple[str, list[str]]]:
    """The rows of the page's tables, each with the heading above it."""
    rows, heading = [], ""
    for line in PAGE.read_text().splitlines():
        heading = line.removeprefix("## ") if line.startswith("## ") else heading
        if line.startswith("| "):
            rows.append((heading, [cell.strip() for cell in line.strip("|").split(" | ")]))
    return rows


def listed() -> dict[str, tuple[str, ...]]:
    """The metrics of the page with their labels. Several in one row have the same, or each its own after a semicolon."""
    found = {}
    for _, cells in tables():
        names = [name for name in NAMES.findall(cells[0]) if name.startswith("haoma_")]
        if not names or not cells[0].startswith("`haoma_"):
            continue
        labels = [tuple(NAMES.findall(part)) for part in cells[1].split(";")] if len(cells) > 2 else [()]
        found |= dict(zip(names, labels * len(names) if len(labels) == 1 else labels, strict=False))
    return found


def described_labels() -> set[str]:
    return {name for heading, cells in tables() if heading == "Labels" for name in NAMES.findall(cells[0])}


def test_the_page_lists_every_metric_with_its_labels() -> None:
    assert listed() == {metric.name: metric.labels for metric in declared().values()}


def test_every_label_is_one_of_those_whose_values_the_page_bounds() -> None:
    assert {label for metric in declared().values() for label in metric.labels} == described_labels()


@METRICS
def test_a_name_follows_the_conventions_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"haoma_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") is (metric.kind == "Counter")
    if metric.kind == "Histogram":
        assert metric.name.endswith("_seconds")
    assert not metric.name.endswith(("_ms", "_milliseconds", "_bucket", "_count", "_sum", "_created"))


@METRICS
def test_a_metric_is_declared_once_where_it_is_counted(metric: Metric) -> None:
    text = "".join(path.read_text() for path in sorted(Path(ROOT).glob("*/src/**/*.py")))
    assert text.count(f'"{metric.name}"') == 1
