"""The repository: no file names a registry or a developer's machine; the locks, wheels and settings are complete."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from architecture.tree import PACKAGES, ROOT, SERVICES, modules, modules_of_tests, texts
from hatchling.builders.wheel import WheelBuilder
from ruamel.yaml import YAML

from shared.process.version import VERSION

REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(com|org)|docker\.io|ghcr\.io|quay\.io|gcr\.io|mcr\.microsoft\.com"
    r"|crates\.io|rubygems\.org|proxy\.golang\.org|pypi\.tuna|mirrors\.aliyun"
)
DEVELOPERS_MACHINE = re.compile(r"(?<![\w.}/-])/(work|root|home|Users)/[\w.]")
LOCKS = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))
COMPANIONS = {
    "alibabacloud-tea-openapi": "alibabacloud-dysmsapi20170525",
    "botocore": "aiobotocore",
    "darabonba-core": "alibabacloud-dysmsapi20170525",
    "hiredis": "redis",
    "markupsafe": "jinja2",
    "multidict": "aiohttp",
    "pydantic-core": "pydantic",
    "tencentcloud-sdk-python-common": "tencentcloud-sdk-python-sms",
    "typing-extensions": "pydantic",
    "yarl": "aiohttp",
}
"""Distributions that belong to the interface of another one, which is declared and brings them."""
PINNED = re.compile(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+")


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{where}:{number}"
        for where, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    assert {where.partition(":")[0] for where in lines_with(REGISTRY)} <= {".github/workflows/release.yml"}


def test_no_file_names_a_path_of_a_developers_machine() -> None:
    assert lines_with(DEVELOPERS_MACHINE) == []


def test_every_service_has_a_lock() -> None:
    assert {"dev", *SERVICES} <= {lock.stem for lock in LOCKS}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_pins_and_hashes_each_package_and_contains_no_address(lock) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert [entry for entry in entries if not PINNED.match(entry) or "--hash=sha256:" not in entry] == []
    assert "://" not in lock.read_text()


def test_every_package_that_is_imported_is_declared() -> None:
    """What another package happens to bring goes when that one changes its mind."""
    distributions, ours = packages_distributions(), {path.stem for path in (ROOT / "tests").iterdir()}
    ours |= {*PACKAGES.values(), *sys.stdlib_module_names, "stack", "container", "haoma"}
    imported = {name.partition(".")[0] for module in (*modules(), *modules_of_tests()) for name in module.imports}
    sources = {name: set(map(spelled, distributions.get(name, [name]))) for name in imported - ours}
    assert len(sources) > 40
    available = declared_packages() | {name for name, owner in COMPANIONS.items() if owner in declared_packages()}
    assert {name for name, packages in sources.items() if not packages & available} == set()


def declared_packages() -> set[str]:
    """The distributions that a ``pyproject.toml`` declares, in any group."""
    found: set[str] = set()
    for folder in (".", *PACKAGES):
        settings = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
        project = settings["project"]
        groups = settings.get("dependency-groups", {}) | project.get("optional-dependencies", {})
        lines = [*project.get("dependencies", []), *(line for group in groups.values() for line in group)]
        lines += settings["build-system"]["requires"] if folder != "." else []
        found |= {spelled(re.split(r"[\[=]", line)[0]) for line in lines if isinstance(line, str)}
    return found


def spelled(distribution: str) -> str:
    """The name of a distribution as the locks spell it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_wheel_contains_every_file_of_its_package(folder) -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT / folder)).recurse_included_files()}
    source = ROOT / folder / "src"
    expected = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert {path for path in expected if "__pycache__" not in path} - packed == set()


@pytest.mark.parametrize("folder", [".", *PACKAGES])
def test_every_package_takes_its_version_from_one_place(folder) -> None:
    settings = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    assert settings["project"]["dynamic"] == ["version"]
    if folder != ".":
        assert WheelBuilder(str(ROOT / folder)).metadata.version == VERSION


def test_no_other_file_of_ours_repeats_the_version() -> None:
    repeated = re.compile(rf"""^\s*(version|VERSION)\s*=\s*["']{re.escape(VERSION)}["']""", re.MULTILINE)
    assert [where for where, text in texts() if repeated.search(text)] == ["shared/src/shared/process/version.py"]


def test_the_newest_release_of_the_changelog_is_this_version() -> None:
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[:1] in ([], [VERSION])


def test_every_hook_of_pre_commit_calls_a_target_of_make() -> None:
    hooks = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    for hook in hooks:
        program, target = hook["entry"].split()
        assert program == "make"
        subprocess.run([program, "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
