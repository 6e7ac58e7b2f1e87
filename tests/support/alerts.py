"""Alerts as Prometheus evaluates them, on what processes reported before a fault and during it.

The fault is measured once. Its samples are then repeated for as long as the rule asks for: gauges stay at what they were during the
fault, and counters grow by as much in each minute as they grew between the two observations.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from stack.folder import StackError
from stack.packages import apt
from stack.system import Stack

from support.metrics import Labels, Scrape, scrape
from support.tools import LOCAL, ROOT, alone

RULES = ROOT / "deploy" / "monitoring" / "alerts.yml"
QUIET_MINUTES, FAULT_MINUTES = 30, 80
STANDS_STILL_SECONDS = 5.0
"""A time that is older when it is observed is taken to stand still. The times of healthy processes are younger."""
NAMES = set(re.findall(r"\bhaoma_[a-z_]+", RULES.read_text()))
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


@dataclass(frozen=True)
class Observation:
    """What each process reported at a time; None for one that did not answer.

    Those that are ``gone`` have no address any more, so Prometheus does not ask them.
    """

    at: float
    processes: Mapping[str, Scrape | None]
    gone: frozenset[str] = frozenset()


def observe(stack: Stack) -> Observation:
    """Ask every process."""
    return Observation(time.time(), {name: _scrape(stack, name) for name in stack.services})


def _scrape(stack: Stack, process: str) -> Scrape | None:
    try:
        return scrape(stack, process)
    except OSError:
        return None


def firing(before: Observation, during: Observation) -> tuple[set[str], set[str]]:
    """The alerts that fire before the fault, and those that fire when it has lasted."""
    quiet, fault = QUIET_MINUTES - 1, QUIET_MINUTES + FAULT_MINUTES - 1
    tests = [
        {"expr": _is_firing(name), "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for minute in (quiet, fault)
        for name in ALERTS
    ]
    failed = _failures(_series(before, during), tests)
    return _names(quiet, failed), _names(fault, failed)


def _names(minute: int, failed: set[tuple[str, int]]) -> set[str]:
    return {name for name in ALERTS if (_is_firing(name), minute) not in failed}


def _is_firing(alert: str) -> str:
    return f'(count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)) > bool 0'


def _failures(series: list[dict[str, str]], tests: list[dict[str, object]]) -> set[tuple[str, int]]:
    """The expressions that were not 1, with their minute, as promtool tells."""
    test = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    file = LOCAL / f"alerts-{time.monotonic_ns()}.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    try:
        done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False)
    finally:
        file.unlink()
    output = done.stdout + done.stderr
    assert done.returncode in (0, 1), output
    found = re.findall(r'expr: "(.+)", time: (?:(\d+)h)?(\d+)m', output)
    assert done.returncode == 0 or found, output
    return {(json.loads(f'"{expr}"'), int(hours or 0) * 60 + int(minutes)) for expr, hours, minutes in found}


def _series(before: Observation, during: Observation) -> list[dict[str, str]]:
    """The input of promtool: ``up`` of each process, and each series that an alert reads."""
    series = []
    for process in before.processes:
        own = frozenset({("job", process), ("instance", f"{process}:1")})
        is_gone = process in during.gone
        series.append(_up(own, before.processes[process], during.processes.get(process), is_gone=is_gone))
        series += _series_of(own, before, during, process)
    return series


def _up(own: Labels, before: Scrape | None, during: Scrape | None, *, is_gone: bool) -> dict[str, str]:
    quiet = [str(int(before is not None))] * QUIET_MINUTES
    fault = ["stale"] if is_gone else [str(int(during is not None))] * FAULT_MINUTES
    return {"series": _name("up", own), "values": " ".join(quiet + fault)}


def _series_of(own: Labels, before: Observation, during: Observation, process: str) -> Iterator[dict[str, str]]:
    old, new = before.processes[process], during.processes.get(process)
    samples = {**(old.samples if old else {}), **(new.samples if new else {})}
    for name, labels in samples:
        if name not in NAMES:
            continue
        values = [*_quiet(old, name, labels, before.at), *_fault(old, new, name, labels, during.at)]
        yield {"series": _name(name, labels | own), "values": " ".join(values)}


def _quiet(old: Scrape | None, name: str, labels: Labels, at: float) -> list[str]:
    if old is None or (name, labels) not in old.samples:
        return ["_"] * QUIET_MINUTES
    value = old.samples[name, labels]
    if name.endswith("_timestamp_seconds"):  # a time that goes on, on the clock of promtool, which begins at 0
        return [str(minute * 60 - (at - value)) for minute in range(QUIET_MINUTES)]
    return [str(value)] * QUIET_MINUTES


def _fault(old: Scrape | None, new: Scrape | None, name: str, labels: Labels, at: float) -> list[str]:
    if new is None or (name, labels) not in new.samples:
        return ["stale", *["_"] * (FAULT_MINUTES - 1)]
    value = new.samples[name, labels]
    if name.endswith("_timestamp_seconds"):
        moves = at - value < STANDS_STILL_SECONDS
        return [str((QUIET_MINUTES + minute * moves) * 60 - (at - value)) for minute in range(FAULT_MINUTES)]
    if name not in new.counters:
        return [str(value)] * FAULT_MINUTES
    growth = value - (old.samples.get((name, labels), 0.0) if old else 0.0)
    return [str(value + growth * minute) for minute in range(FAULT_MINUTES)]


def _name(name: str, labels: Labels) -> str:
    pairs = ",".join(f"{label}={json.dumps(value)}" for label, value in sorted(labels))
    return f"{name}{{{pairs}}}"


def promtool() -> str:
    """The tool of Prometheus. Installs it where the test may, and skips the test elsewhere."""
    with alone(LOCAL / "promtool.lock"):
        if shutil.which("promtool") is None:
            if not apt.can_install():
                pytest.skip(f"promtool is missing: {apt.install_command('prometheus')}")
            try:
                apt.install("prometheus", print)
            except StackError as error:
                pytest.skip(str(error))
    return str(shutil.which("promtool"))


def check(*words: str, stdin: str = "") -> str:
    """What ``promtool check`` prints; raises ``AssertionError`` unless it succeeds."""
    command = [promtool(), "check", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=Path(RULES).parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
