"""Keeps a command from writing over a file that it reads, or two of its files over each other."""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

STREAM = Path("-")


def require_distinct(inputs: Iterable[Path | None], outputs: Iterable[Path | None]) -> None:
    """Raises ``ValueError`` if a file to write is one of the others. ``-`` and None are no files, nor is a device."""
    written = _files(outputs)
    pairs = [(output, each) for output in written for each in _files(inputs)] + list(combinations(written, 2))
    for output, other in pairs:
        if _is_same(output, other):
            raise ValueError(f"{output} is named for two purposes, and would be written over")


def _files(paths: Iterable[Path | None]) -> list[Path]:
    return [path for path in paths if path is not None and path != STREAM]


def _is_same(first: Path, second: Path) -> bool:
    if first.is_file() and second.is_file():
        return first.samefile(second)
    return not first.exists() and first.resolve() == second.resolve()
