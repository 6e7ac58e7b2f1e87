"""How the code is cut: small modules with a purpose, honest names, SQL in stores, a shared package that is shared."""

import ast
import importlib
import re

import pytest
from architecture.tree import PACKAGES, ROOT, Module, modules

MAX_MODULE = 300
MAX_DIALECT = 350
MAX_FUNCTION = 50
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "service"}
SQL = re.compile(r"\b(insert\s+into|delete\s+from|select\b.*?\bfrom|update\b.*?\bset)\b", re.IGNORECASE | re.DOTALL)
OTHER_STORES = {"shared.outbox", "shared.postgres"}
"""Modules with SQL that are not called a store: two of the plumbing."""


def is_store(module: Module) -> bool:
    last = module.name.rpartition(".")[2]
    return last == "store" or last.endswith("_store") or "migrations" in module.name or module.name in OTHER_STORES


def test_every_module_says_in_its_first_line_what_it_is_for() -> None:
    silent = [module.where for module in modules() if module.text.strip() and not ast.get_docstring(module.syntax)]
    assert silent == []


def test_modules_are_small() -> None:
    def most(module: Module) -> int:
        return MAX_DIALECT if ".dialects." in module.name else MAX_MODULE

    assert [(module.where, module.lines) for module in modules() if module.lines > most(module)] == []


def test_functions_are_short() -> None:
    long = [(m.where, name, lines) for m in modules() for name, lines in m.functions if lines > MAX_FUNCTION]
    assert long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [module.where for module in modules() if VAGUE & set(module.name.split("."))]
    assert vague == []


def test_sql_is_written_in_stores_only() -> None:
    strays = {
        module.where: text.strip()[:60]
        for module in modules()
        if not is_store(module)
        for text in module.strings
        if SQL.search(text)
    }
    assert strays == {}


def test_what_is_shared_is_used_by_two_services_or_by_the_shared_package_itself() -> None:
    plumbing = [module.name for module in modules() if module.package == "shared" and module.path.stem != "__init__"]
    plumbing.remove("shared.version")  # every pyproject.toml reads it
    users: dict[str, set[str]] = {name: set() for name in plumbing}
    for module in modules():
        for name in module.imports & users.keys():
            users[name].add(module.name if module.package == "shared" else module.package)
    services = set(PACKAGES.values()) - {"shared"}
    lonely = {name: used for name, used in users.items() if used <= services and len(used) < 2}
    assert lonely == {}


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_package_is_typed_and_is_a_folder_of_its_own_name(folder: str) -> None:
    package = PACKAGES[folder]
    home = ROOT / folder / "src" / package
    assert importlib.import_module(package).__file__ == str(home / "__init__.py")
    assert (home / "py.typed").is_file()


def test_every_folder_of_modules_is_a_package_but_for_revisions_which_alembic_runs_as_scripts() -> None:
    folders = {module.path.parent for module in modules() if module.package in PACKAGES.values()}
    loose = {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()}
    assert {folder for folder in loose if "/migrations" not in folder} == set()
