"""The size and the shape of the code: small modules with a purpose, short functions, rooms of few modules."""

import ast
import importlib
import math
from collections import Counter
from collections.abc import Iterable

import pytest
from architecture.tree import PACKAGES, ROOT, Module, modules

MAX_MODULE_LINES = 300
MAX_DIALECT_LINES = 350
MAX_FUNCTION_LINES = 40
MAX_P90_FUNCTION_LINES = 14
MAX_MODULES_IN_A_FOLDER = 14
MAX_IMPORTS_OF_A_ROOT = 15
ROOTS = ("app", "worker")
FOR_BUILDS = {"shared.process.version"}
"""Every ``pyproject.toml`` reads the version from it."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "service"}


def test_every_module_begins_with_a_line_that_says_its_purpose() -> None:
    silent = [module.where for module in modules() if module.text.strip() and not ast.get_docstring(module.syntax)]
    assert silent == []


def test_modules_are_small() -> None:
    def limit(module: Module) -> int:
        return MAX_DIALECT_LINES if ".dialects." in module.name else MAX_MODULE_LINES

    assert [(module.where, module.lines) for module in modules() if module.lines > limit(module)] == []


def test_functions_are_short() -> None:
    lengths = sorted((lines, module.where, name) for module in modules() for name, lines in module.functions)
    assert [each for each in lengths if each[0] > MAX_FUNCTION_LINES] == []
    assert lengths[math.ceil(0.9 * len(lengths)) - 1][0] <= MAX_P90_FUNCTION_LINES


def test_a_folder_has_few_modules() -> None:
    folders = Counter(str(module.path.parent.relative_to(ROOT)) for module in modules() if not is_marker(module))
    assert {folder: count for folder, count in folders.items() if count > MAX_MODULES_IN_A_FOLDER} == {}


def test_a_folder_of_modules_has_no_code_in_its_init() -> None:
    def has_code(module: Module) -> bool:
        return any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in module.syntax.body
        )

    assert [module.where for module in modules() if is_marker(module) and has_code(module)] == []


def test_a_composition_root_imports_rooms() -> None:
    imported = {module.where: ours(module.imports) for module in modules() if module.path.stem in ROOTS}
    assert imported
    assert {root: sorted(names) for root, names in imported.items() if len(names) > MAX_IMPORTS_OF_A_ROOT} == {}


def test_no_module_has_a_vague_name() -> None:
    vague = [module.where for module in modules() if VAGUE & set(module.name.split("."))]
    assert vague == []


def test_shared_modules_are_used_by_two_services_or_by_shared_itself() -> None:
    users: dict[str, set[str]] = {
        module.name: set() for module in modules() if module.package == "shared" and module.name not in FOR_BUILDS
    }
    for module in modules():
        for name in module.imports & users.keys():
            users[name].add(module.name if module.package == "shared" else module.package)
    services = set(PACKAGES.values()) - {"shared"}
    folders = {module.name for module in modules() if is_marker(module)}
    lonely = {name: used for name, used in users.items() if used <= services and len(used) < 2 and name not in folders}
    assert lonely == {}


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_package_is_typed_and_is_in_a_folder_of_its_name(folder: str) -> None:
    package = PACKAGES[folder]
    home = ROOT / folder / "src" / package
    assert importlib.import_module(package).__file__ == str(home / "__init__.py")
    assert (home / "py.typed").is_file()


def test_every_folder_of_modules_is_a_package_except_migrations() -> None:
    folders = {module.path.parent for module in modules() if module.package in PACKAGES.values()}
    loose = {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()}
    assert {folder for folder in loose if "/migrations" not in folder} == set()


def is_marker(module: Module) -> bool:
    return module.path.stem == "__init__"


def ours(imports: Iterable[str]) -> set[str]:
    """The modules of this repository among names that are imported. A package counts only if none of its modules does."""
    names = {module.name for module in modules()} & set(imports)
    return {name for name in names if not any(other.startswith(name + ".") for other in names)}
