"""The repository as the architecture tests see it: its files, its modules, and what each module imports."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "auth-service", "sms-service", "contacts-service")
PACKAGES = {folder: folder.replace("-", "_") for folder in ("shared", *SERVICES)}


@dataclass(frozen=True)
class Module:
    """One Python module of this repository."""

    path: Path
    name: str
    text: str

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def syntax(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def functions(self) -> Iterator[tuple[str, int]]:
        """Each function and its number of lines."""
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1

    @property
    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in ast.walk(self.syntax) if isinstance(node, ast.ClassDef))

    @property
    def bindings(self) -> Iterator[str]:
        """Each name that is assigned, looped over, passed as an argument or bound by ``with`` and ``except``."""
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.arg):
                yield node.arg

    @property
    def imports(self) -> set[str]:
        """Full names of what it imports. ``from a import b`` gives both ``a`` and ``a.b``, which may be a module."""
        names: set[str] = set()
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        return names

    @property
    def strings(self) -> Iterator[str]:
        """Its strings without docstrings. An f-string counts as one, without its replacement fields."""
        inside = {
            id(part) for node in ast.walk(self.syntax) if isinstance(node, ast.JoinedStr) for part in node.values
        } | {id(node.value) for node in ast.walk(self.syntax) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.JoinedStr):
                yield " ".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                yield node.value


def _modules_below(roots: list[Path]) -> tuple[Module, ...]:
    return tuple(
        Module(path, ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path.read_text())
        for root in roots
        for path in sorted(root.rglob("*.py"))
    )


@cache
def modules() -> tuple[Module, ...]:
    """Every module under ``*/src`` and in the local stack."""
    return _modules_below([ROOT / folder / "src" for folder in PACKAGES] + [ROOT / "deploy"])


@cache
def modules_of_tests() -> tuple[Module, ...]:
    """Every module of the tests."""
    return _modules_below([ROOT / "tests"])


@cache
def files() -> tuple[Path, ...]:
    """Every file of the checkout that git does not ignore."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]

    def is_kept(name: str) -> bool:
        return not any(fnmatch(name, pattern) for pattern in ignored)

    kept: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = filter(is_kept, folders)
        kept += [Path(folder, name) for name in filter(is_kept, names)]
    return tuple(sorted(kept))


def texts() -> Iterator[tuple[str, str]]:
    """Each text file of the checkout: its path and its text."""
    for path in files():
        raw = path.read_bytes()
        if b"\0" not in raw:
            yield str(path.relative_to(ROOT)), raw.decode()
