"""``roll-out.sh``: each step waits for the one before, and a step that fails ends it."""

import os
import subprocess
from pathlib import Path

import pytest
from support.kubernetes import FOLDER, rendered, workloads

SCRIPT = FOLDER / "roll-out.sh"
KUBECTL = """#!/usr/bin/env bash
if [ "$1" = kustomize ]; then cat "$MANIFESTS"; exit; fi
printf '%s\\n' "$*" >>"$CALLS"
case "$*" in *"$FAILING"*) [ -z "$FAILING" ] || exit 1 ;; esac
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that writes down how it is called; it fails where ``FAILING`` is part of a call."""
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    (tmp_path / "manifests").write_text(rendered())
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MANIFESTS", str(tmp_path / "manifests"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAILING", "")
    return tmp_path / "calls"


def roll_out(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)


def steps(calls: Path) -> list[tuple[str, str]]:
    """What was done to which step, such as ``("apply", "worker")``."""
    words = [line.split() for line in calls.read_text().splitlines()]
    chosen = [(each[0], each[each.index("--selector") + 1]) for each in words]
    return [(action, selector.removeprefix("rollout-step=")) for action, selector in chosen]


def test_a_release_is_rolled_out_in_the_order_in_which_old_and_new_work_together(kubectl: Path) -> None:
    assert roll_out("production").returncode == 0
    assert steps(kubectl) == [
        ("apply", "!rollout-step"),
        *[(action, "roles") for action in ("delete", "apply", "wait", "wait")],
        *[(action, "schemas") for action in ("delete", "apply", "wait", "wait")],
        *[(action, step) for step in ("worker", "services", "gateway") for action in ("apply", "rollout")],
    ]


def test_every_workload_is_in_a_step_of_the_script(kubectl: Path) -> None:
    assert roll_out("production").returncode == 0
    named = {step for _, step in steps(kubectl)}
    assert {each["metadata"]["labels"]["rollout-step"] for each in workloads().values()} == named - {"!rollout-step"}


def test_nothing_is_updated_after_a_migration_that_failed(kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILING", "rollout-step=schemas --for condition=complete")

    outcome = roll_out("production")

    assert outcome.returncode == 1
    assert "kubectl logs" in outcome.stderr
    assert ("apply", "worker") not in steps(kubectl)


def test_the_gateway_is_not_updated_before_its_services(kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILING", "rollout status deployment --namespace haoma --selector rollout-step=services")

    assert roll_out("production").returncode != 0
    assert ("apply", "gateway") not in steps(kubectl)


def test_it_says_how_it_is_called() -> None:
    outcome = roll_out()
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("usage: roll-out.sh OVERLAY")
