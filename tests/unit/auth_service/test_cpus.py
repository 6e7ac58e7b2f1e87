"""As many hashing threads as the process may use CPUs."""

import os
from pathlib import Path

import pytest

from auth_service.passwords.cpus import available_cpus


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the quota of a container that may use eight CPUs by its affinity."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path / "cpu.max"


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("max 100000\n", 8),
        ("nonsense\n", 8),
    ],
)
def test_a_quota_is_rounded_up_and_is_no_more_than_the_affinity(quota: Path, text: str, cpus: int) -> None:
    quota.write_text(text)
    assert available_cpus(quota) == cpus


def test_without_a_cgroup_the_affinity_counts(quota: Path) -> None:
    assert available_cpus(quota) == 8


def test_where_no_affinity_is_told_every_cpu_counts(quota: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert available_cpus(quota) == 3
