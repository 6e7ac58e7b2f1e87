"""The repository as the architecture tests see it: its files, its modules, what each module imports and says."""

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
    """One source file of ours."""

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
        """Each function and its lines."""
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1

    @property
    def imports(self) -> set[str]:
        """Full names of what it imports; of ``from a import b`` both ``a`` and ``a.b``, which may be a module."""
        found: set[str] = set()
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    @property
    def strings(self) -> Iterator[str]:
        """Its texts but for docstrings; an f-string is one, without what it fills in."""
        inside = {
            id(part) for node in ast.walk(self.syntax) if isinstance(node, ast.JoinedStr) for part in node.values
        } | {id(node.value) for node in ast.walk(self.syntax) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.JoinedStr):
                yield " ".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                yield node.value


@cache
def modules() -> tuple[Module, ...]:
    """Every module under ``*/src`` and in the local stack."""
    roots = [ROOT / folder / "src" for folder in PACKAGES] + [ROOT / "deploy"]
    return tuple(
        Module(path, ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path.read_text())
        for root in roots
        for path in sorted(root.rglob("*.py"))
    )


@cache
def files() -> tuple[Path, ...]:
    """Every file of the checkout that git would not ignore."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]

    def ours(name: str) -> bool:
        return not any(fnmatch(name, pattern) for pattern in ignored)

    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = filter(ours, folders)
        found += [Path(folder, name) for name in filter(ours, names)]
    return tuple(sorted(found))


def texts() -> Iterator[tuple[str, str]]:
    """Each text file of the checkout: where it is, and what is in it."""
    for path in files():
        raw = path.read_bytes()
        if b"\0" not in raw:
            yield str(path.relative_to(ROOT)), raw.decode()
