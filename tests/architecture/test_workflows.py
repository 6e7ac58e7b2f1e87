"""The workflows: they call the targets of make that a developer calls, with pinned actions and few permissions."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from architecture.tree import ROOT, SERVICES
from ruamel.yaml import YAML

from shared.process.version import VERSION

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$")
NOT_MAKE = {
    "sudo": "system packages",
    "echo": "hands the digest of an image to the next step",
    "cosign": "signs an image",
    "gh": "creates the release",
}
"""Programs that a step may call besides make, and what for."""


@cache
def workflow(path: Path) -> dict[str, Any]:
    """A workflow. ``on`` is a string here: YAML 1.2 has no such boolean."""
    return YAML(typ="safe").load(path)


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(path)["jobs"].values():
        yield from job["steps"]


def commands(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


@WORKFLOWS
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(path: Path) -> None:
    uses = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
    assert [line for line in uses if not PINNED.match(line)] == []


@WORKFLOWS
def test_a_workflow_has_no_permission_but_those_that_a_job_names(path: Path) -> None:
    assert workflow(path)["permissions"] == {}
    assert all(job["permissions"] for job in workflow(path)["jobs"].values())
    assert "pull_request_target" not in workflow(path)["on"]


@WORKFLOWS
def test_no_checkout_leaves_its_credentials_behind(path: Path) -> None:
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@WORKFLOWS
def test_a_step_calls_a_target_of_make(path: Path) -> None:
    assert {command.split()[0] for command in commands(path)} - {"make", *NOT_MAKE} == set()


@WORKFLOWS
def test_every_target_exists(path: Path) -> None:
    targets = {command.split()[1] for command in commands(path) if command.startswith("make ")}
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@WORKFLOWS
def test_no_text_from_outside_becomes_a_part_of_a_command(path: Path) -> None:
    assert [command for command in commands(path) if "${{" in command] == []


def test_a_release_is_tested_before_anything_is_published() -> None:
    jobs = workflow(FOLDER / "release.yml")["jobs"]
    assert jobs["image"]["needs"] == jobs["site"]["needs"] == "check"
    assert "make test" in [step.get("run") for step in jobs["check"]["steps"]]
    assert jobs["image"]["strategy"]["matrix"]["service"] == list(SERVICES)


def release_check(tag: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--silent", "release-check", f"TAG={tag}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_release_needs_the_tag_of_this_version() -> None:
    assert release_check(f"v{VERSION}").returncode == 0

    refused = release_check("v99.0.0")

    assert refused.returncode != 0
    assert f"the tag v99.0.0 is not v{VERSION}" in refused.stderr


def test_the_notes_of_a_release_are_its_part_of_the_changelog() -> None:
    command = ["make", "--silent", "release-notes", "TAG=v0.1.0"]
    notes = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert notes.startswith("\nThe first complete system.")
    assert "\n## " not in notes


def test_a_version_without_a_part_in_the_changelog_has_no_notes() -> None:
    command = ["make", "--silent", "release-notes", "TAG=v98.0.0"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "CHANGELOG.md says nothing about 98.0.0" in outcome.stderr
