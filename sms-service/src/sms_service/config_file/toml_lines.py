"""Finds the line of a table or key in a TOML file, for error messages. No TOML library gives lines."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Path = tuple[str | int, ...]

MAX_DEPTH = 100
"""Brackets within brackets. The parser gives up somewhere beyond this depth."""
MAX_DIGITS = 4300
"""Digits of an integer. Python refuses to read a longer one."""

# A string or a comment is one token, because nothing in it is a table or a key. A multi-line string may end in five
# quotes.
_TOKEN = re.compile(
    r"""
    (?P<text> \"\"\" (?: [^"\\] | \\. | "{1,2}(?!") )* "{3,5} | ''' (?: [^'] | '{1,2}(?!') )* '{3,5} )
    | (?P<quoted> "(?: [^"\\\n] | \\. )*" | '[^'\n]*' )
    | (?P<skip> \#[^\n]* | [ \t\r]+ )
    | (?P<mark> [\n\[\]{}=,.] )
    | (?P<bare> [^\s\[\]{}=,.\#"']+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of a file, and the line where it begins."""

    kind: str
    text: str
    line: int


class Lines:
    """The lines of one valid file, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._entries: dict[Path, int] = {}
        self._tokens = [*_tokens(text), Token("mark", "\n", 0)]
        self._next = 0
        table: Path = ()
        while self._next < len(self._tokens):
            if self._skips("["):
                table = self._header()
            elif not self._skips("\n"):
                self._pair(table)

    def of(self, path: Sequence[str | int]) -> int:
        """The line of the deepest part of a path that the file contains; 1 if it contains no part."""
        for length in range(len(path), 0, -1):
            if (found := self._lines.get(tuple(path[:length]))) is not None:
                return found
        return 1

    def _skips(self, mark: str) -> bool:
        """Whether the next token is this mark. If so, skip it."""
        is_next = self._tokens[self._next][:2] == ("mark", mark)
        self._next += is_next
        return is_next

    def _header(self) -> Path:
        is_array, line = self._skips("["), self._tokens[self._next].line
        *above, last = self._key("]")
        path: Path = ()
        for part in above:
            path = self._newest_entry((*path, part))
        path = (*path, last)
        if is_array:
            self._skips("]")
            self._entries[path] = self._entries.get(path, -1) + 1
        return self._store((), self._newest_entry(path), line)

    def _newest_entry(self, path: Path) -> Path:
        return (*path, self._entries[path]) if path in self._entries else path

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._next].line
        self._value(self._store(table, self._key("="), line))

    def _key(self, end: str) -> Path:
        parts = []
        while not self._skips(end):
            if not self._skips("."):
                parts.append(_name(self._tokens[self._next]))
                self._next += 1
        return tuple(parts)

    def _value(self, path: Path) -> None:
        if self._skips("{"):
            while not self._skips("}"):
                if not (self._skips(",") or self._skips("\n")):
                    self._pair(path)
        elif self._skips("["):
            position = 0
            while not self._skips("]"):
                if not (self._skips(",") or self._skips("\n")):
                    self._value(self._store(path, (position,), self._tokens[self._next].line))
                    position += 1
        else:
            while self._tokens[self._next].text not in {"\n", ",", "]", "}"}:
                self._next += 1

    def _store(self, table: Path, key: Path, line: int) -> Path:
        """Store the line of a path. The tables around it get the line too, unless they have one."""
        path = table + key
        for length in range(len(table) + 1, len(path)):
            self._lines.setdefault(path[:length], line)
        self._lines[path] = line
        return path


def line_of(text: str, offset: int) -> int:
    """The line of an offset in a text. Only a line feed ends a line, as in TOML."""
    return text.count("\n", 0, offset) + 1


def deepest(text: str) -> int:
    """The line where brackets nest too deeply to be read."""
    depth = 0
    for kind, mark, line in _tokens(text):
        depth += (mark in {"[", "{"}) - (mark in {"]", "}"}) if kind == "mark" else 0
        if depth > MAX_DEPTH:
            return line
    return 1


def longest(text: str) -> int:
    """The line of the first number with too many digits to be read."""
    return next((line for kind, digits, line in _tokens(text) if kind == "bare" and len(digits) > MAX_DIGITS), 1)


def _tokens(text: str) -> Iterator[Token]:
    line = 1
    for found in _TOKEN.finditer(text):
        if found.lastgroup and found.lastgroup != "skip":
            yield Token(found.lastgroup, found[0], line)
        line += found[0].count("\n")


def _name(token: Token) -> str:
    return str(tomllib.loads(f"it = {token.text}")["it"]) if token.kind == "quoted" else token.text
