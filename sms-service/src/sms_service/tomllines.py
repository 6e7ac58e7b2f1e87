"""On which line of a TOML file a table or a key is, so that a refusal can name it."""

import re
from collections import Counter
from collections.abc import Sequence

Path = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_ENTRY = re.compile(r"^\s*\[\[\s*([^\[\]]+?)\s*\]\]\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_.-]+)\s*=""")


class Lines:
    """The lines of one file, counted from 1. Tables in one line are found by the key they belong to."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        entries: Counter[str] = Counter()
        table: Path = ()
        for number, line in enumerate(text.splitlines(), start=1):
            if entry := _ENTRY.match(line):
                table = (*_split(entry[1]), entries[entry[1]])
                entries[entry[1]] += 1
                self._note(table, number)
            elif header := _TABLE.match(line):
                table = _split(header[1])
                self._note(table, number)
            elif key := _KEY.match(line):
                self._note((*table, *_split(key[1])), number)

    def _note(self, path: Path, number: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], number)

    def of(self, path: Sequence[str | int]) -> int:
        """The line of the deepest part of a path that is written down; 1 when none is."""
        for length in range(len(path), 0, -1):
            if (found := self._lines.get(tuple(path[:length]))) is not None:
                return found
        return 1


def _split(name: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in re.findall(r""""[^"]*"|'[^']*'|[^.]+""", name))
