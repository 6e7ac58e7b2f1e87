"""On which line of a TOML file a table or a key is, so that a refusal can name it. No library for TOML tells."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Path = tuple[str | int, ...]

DEEP = 100
"""Brackets within brackets; the parser gives up somewhere beyond."""
LONG = 4300
"""Digits of an integer; Python reads no longer one."""

# Strings and comments as a whole: nothing in them is a table or a key. One of several lines may end in five quotes.
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
    """A piece of a file, and the line on which it begins."""

    kind: str
    text: str
    line: int


class Lines:
    """The lines of one file that a parser has found to be good, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._entries: dict[Path, int] = {}
        self._tokens = [*_tokens(text), Token("mark", "\n", 0)]
        self._at = 0
        table: Path = ()
        while self._at < len(self._tokens):
            if self._takes("["):
                table = self._header()
            elif not self._takes("\n"):
                self._pair(table)

    def of(self, path: Sequence[str | int]) -> int:
        """The line of the deepest part of a path that is written down; 1 when none is."""
        for length in range(len(path), 0, -1):
            if (found := self._lines.get(tuple(path[:length]))) is not None:
                return found
        return 1

    def _takes(self, mark: str) -> bool:
        """Step over a mark, if that is what comes next."""
        found = self._tokens[self._at][:2] == ("mark", mark)
        self._at += found
        return found

    def _header(self) -> Path:
        entry, line = self._takes("["), self._tokens[self._at].line
        *above, last = self._key("]")
        path: Path = ()
        for part in above:
            path = self._newest((*path, part))
        path = (*path, last)
        if entry:
            self._takes("]")
            self._entries[path] = self._entries.get(path, -1) + 1
        return self._note((), self._newest(path), line)

    def _newest(self, path: Path) -> Path:
        return (*path, self._entries[path]) if path in self._entries else path

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at].line
        self._value(self._note(table, self._key("="), line))

    def _key(self, end: str) -> Path:
        parts = []
        while not self._takes(end):
            if not self._takes("."):
                parts.append(_name(self._tokens[self._at]))
                self._at += 1
        return tuple(parts)

    def _value(self, path: Path) -> None:
        if self._takes("{"):
            while not self._takes("}"):
                if not (self._takes(",") or self._takes("\n")):
                    self._pair(path)
        elif self._takes("["):
            place = 0
            while not self._takes("]"):
                if not (self._takes(",") or self._takes("\n")):
                    self._value(self._note(path, (place,), self._tokens[self._at].line))
                    place += 1
        else:
            while self._tokens[self._at].text not in {"\n", ",", "]", "}"}:
                self._at += 1

    def _note(self, table: Path, key: Path, line: int) -> Path:
        """Keep the line of a path; of what it is in, only where nothing better is known."""
        path = table + key
        for length in range(len(table) + 1, len(path)):
            self._lines.setdefault(path[:length], line)
        self._lines[path] = line
        return path


def line_of(text: str, place: int) -> int:
    """The line of a place in a text. Only a line feed ends a line, here as in TOML."""
    return text.count("\n", 0, place) + 1


def deepest(text: str) -> int:
    """The line on which brackets become too many to be read."""
    depth = 0
    for kind, mark, line in _tokens(text):
        depth += (mark in {"[", "{"}) - (mark in {"]", "}"}) if kind == "mark" else 0
        if depth > DEEP:
            return line
    return 1


def longest(text: str) -> int:
    """The line of the first number that is too long to be read."""
    return next((line for kind, digits, line in _tokens(text) if kind == "bare" and len(digits) > LONG), 1)


def _tokens(text: str) -> Iterator[Token]:
    line = 1
    for found in _TOKEN.finditer(text):
        if found.lastgroup and found.lastgroup != "skip":
            yield Token(found.lastgroup, found[0], line)
        line += found[0].count("\n")


def _name(token: Token) -> str:
    return str(tomllib.loads(f"it = {token.text}")["it"]) if token.kind == "quoted" else token.text
