"""What no file may hold: the address of a package registry, a path of somebody's machine; and locks that lock."""

import re

import pytest
from architecture.tree import ROOT, SERVICES, texts

REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(com|org)|docker\.io|ghcr\.io|quay\.io|gcr\.io|mcr\.microsoft\.com"
    r"|crates\.io|rubygems\.org|proxy\.golang\.org|pypi\.tuna|mirrors\.aliyun"
)
SOMEBODYS_MACHINE = re.compile(r"(?<![\w.}/-])/(work|root|home|Users)/[\w.]")
LOCKS = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))
PINNED = re.compile(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+")


def named_by(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{where}:{number}"
        for where, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    assert named_by(REGISTRY) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert named_by(SOMEBODYS_MACHINE) == []


def test_every_service_has_a_lock() -> None:
    assert {"dev", *SERVICES} <= {lock.stem for lock in LOCKS}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_pins_and_hashes_each_package_and_knows_no_address(lock) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert [entry for entry in entries if not PINNED.match(entry) or "--hash=sha256:" not in entry] == []
    assert "://" not in lock.read_text()
