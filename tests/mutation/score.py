"""``make mutation``: change the rules in small ways, one at a time, and count the changes that no unit test notices.

mutmut expects one ``src`` folder, so this script copies the checkout to ``.local/mutation`` with the five packages side
by side. It changes only the modules in ``RULES``, and runs only unit tests: they need no server.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".local" / "mutation"
PACKAGES = {
    folder: folder.replace("-", "_")
    for folder in ("shared", "gateway", "auth-service", "sms-service", "contacts-service")
}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
RULES = [pattern.removeprefix("*/") for pattern in SETTINGS["tool"]["coverage"]["report"]["include"]]
"""Modules of rules, as ``package/folder/module.py``."""
KILLED = frozenset({"killed", "timeout", "caught by type check"})
PYTEST = ("-p", "no:randomly", "-p", "no:xdist")


def tests_of_rules() -> list[str]:
    """The folders with the unit tests of the rules' packages."""
    return sorted({f"tests/unit/{rule.partition('/')[0]}" for rule in RULES})


def build_tree() -> None:
    """Copy the tracked and the new files of the checkout, with all packages under one ``src``."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if not (ROOT / name).is_file() or (name.startswith("tests/") and not name.startswith(_COPIED_TESTS)):
            continue
        for target in _targets(name):
            (TREE / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, TREE / target)
    with (TREE / "pyproject.toml").open("a") as file:
        file.write(_mutmut_settings())


_COPIED_TESTS = ("tests/conftest.py", "tests/support/", "tests/unit/", "tests/architecture/tree.py")


def _targets(name: str) -> Iterator[str]:
    """Where a file goes: modules to ``src``, and every file to its own place for tests that read the checkout."""
    yield name
    folder, _, rest = name.partition("/src/")
    if folder in PACKAGES:
        yield f"src/{rest}"


def _mutmut_settings() -> str:
    copied = sorted(path.name for path in TREE.iterdir() if path.name not in {"src", "tests", "pyproject.toml"})
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/{rule}" for rule in RULES],
        "also_copy": copied,
        "pytest_add_cli_args": list(PYTEST),
        "pytest_add_cli_args_test_selection": tests_of_rules(),
    }
    return "\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def run_mutmut(processes: int) -> None:
    """Run mutmut in the tree. Raises ``SystemExit`` with the end of its output if it fails."""
    log = TREE / "mutmut.log"
    with log.open("wb") as output:
        command = [Path(sys.executable).parent / "mutmut", "run", "--max-children", str(processes)]
        done = subprocess.run(command, cwd=TREE, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise SystemExit(log.read_text(errors="replace")[-3000:])


def results() -> dict[str, str]:
    """The result of each mutant, by its name."""
    command = [Path(sys.executable).parent / "mutmut", "results", "--all", "true"]
    printed = subprocess.run(command, cwd=TREE, check=True, capture_output=True, text=True).stdout
    pairs = (line.strip().rpartition(": ") for line in printed.splitlines() if ": " in line)
    return {name: result for name, _, result in pairs}


def survivors_of(found: dict[str, str]) -> list[str]:
    return [name for name, result in found.items() if result not in KILLED]


def report(found: dict[str, str]) -> str:
    """A table with the score of each module, then the diff of each surviving mutant."""
    lines = [f"{'module':<48} {'mutants':>8} {'killed':>8} {'score':>7}"]
    total: Counter[str] = Counter()
    for rule in RULES:
        module = rule.removesuffix(".py").replace("/", ".")
        mutants = [result in KILLED for name, result in found.items() if name.startswith(f"{module}.")]
        lines.append(_row(module, len(mutants), sum(mutants)))
        total.update(mutants=len(mutants), killed=sum(mutants))
    lines.append(_row("all", total["mutants"], total["killed"]))
    return "\n".join(lines)


def _row(name: str, mutants: int, killed: int) -> str:
    score = f"{100 * killed / mutants:.1f} %" if mutants else "-"
    return f"{name:<48} {mutants:>8} {killed:>8} {score:>7}"


def show(mutant: str) -> str:
    """The change that a mutant makes, as a diff."""
    command = [Path(sys.executable).parent / "mutmut", "show", mutant]
    return subprocess.run(command, cwd=TREE, check=True, capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: one a core")
    parser.add_argument("--show", action="store_true", help="print the diff of each surviving mutant")
    parser.add_argument("--minimum", type=float, default=90.0, help="fail below this score in percent (default: 90)")
    arguments = parser.parse_args()
    started_at = time.monotonic()
    build_tree()
    run_mutmut(arguments.processes)
    found = results()
    survivors = survivors_of(found)
    print(report(found))
    print(f"\n{len(survivors)} survivors, {time.monotonic() - started_at:.0f} s")
    for name in survivors:
        print(f"  {found[name]:<10} {name}")
        if arguments.show:
            print(show(name))
    return 0 if len(survivors) * 100 <= (100 - arguments.minimum) * len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
