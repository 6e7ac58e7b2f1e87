"""SQL is in store modules and in ``.sql`` files: short statements in the modules, long ones in the files."""

import re

import pytest
from architecture.tree import ROOT, Module, files, modules

from shared.sql import parse_sql

MAX_LINES_IN_PYTHON = 20
SQL = re.compile(r"\b(insert\s+into|delete\s+from|select\b.*?\bfrom|update\b.*?\bset)\b", re.IGNORECASE | re.DOTALL)
OTHER_STORES = {
    "shared.postgres.pooling",
    "shared.process.schema",
    "shared.process.startup",
    "shared.audit.schema",
    "shared.parked.schema",
}
"""Modules with SQL whose names do not say that they are stores."""
SQL_FILES = [path for path in files() if path.suffix == ".sql"]


def is_store(module: Module) -> bool:
    last = module.name.rpartition(".")[2]
    return last == "store" or last.endswith("_store") or "migrations" in module.name or module.name in OTHER_STORES


def test_only_stores_contain_sql() -> None:
    strays = {
        module.where: text.strip()[:60]
        for module in modules()
        if not is_store(module)
        for text in module.strings
        if SQL.search(text)
    }
    assert strays == {}


def test_long_statements_are_in_sql_files() -> None:
    long = [
        (module.where, len(text.strip().splitlines()), text.strip().splitlines()[0].strip())
        for module in modules()
        if "migrations" not in module.name
        for text in module.strings
        if SQL.search(text) and len(text.strip().splitlines()) > MAX_LINES_IN_PYTHON
    ]
    assert long == []


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.stem)
def test_a_sql_file_is_read_by_the_store_beside_it(path) -> None:
    statement = parse_sql(path.read_text())
    beside = [module for module in modules() if module.path.parent == path.parent and is_store(module)]

    assert any(f'"{path.name}"' in module.text for module in beside), f"no store beside {path.relative_to(ROOT)}"
    assert statement.text
