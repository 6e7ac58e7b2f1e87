"""Long SQL statements in ``.sql`` files with named parameters, converted to PostgreSQL's numbered ones at import."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import cast
from uuid import UUID

import orjson

_TOKENS = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted> (?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<dollar> \$(?P<tag>[A-Za-z_]\w*|)\$ .*? \$(?P=tag)\$ )
    | (?P<number> \$[0-9]+ )
    | ::
    | (?<![\w\]]) : (?P<name> [a-z_][a-z0-9_]* )
    """,
    re.VERBOSE | re.DOTALL,
)
"""What may contain a colon, in the order in which PostgreSQL reads it. A colon after a word or ``]`` is a slice."""

_COLUMN = r"\s*[a-z_]\w* [^(),]+"
_ROWS = re.compile(
    rf"json_to_recordset\(\$(?P<number>\d+)::json\)\s+as\s+\w+\s*\((?P<columns>{_COLUMN}(?:,{_COLUMN})*)\)"
)

Rows = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Statement:
    """A statement as asyncpg takes it: ``$1`` in ``text`` is ``parameters[0]``.

    ``columns`` are those of each parameter that is read as rows, by ``json_to_recordset``. An array for each column
    would do too, but asyncpg asks of each of its items whether that is an array (decision 92).
    """

    text: str
    parameters: tuple[str, ...]
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)

    def arguments(self, **values: object) -> list[object]:
        """The values in the order of their numbers, rows (mappings by column) as JSON.

        Times, UUIDs and bytes in a row become text, as PostgreSQL reads them. Raises ``TypeError`` for other values
        that JSON cannot have, and for missing and for unknown names, of columns too.
        """
        for name, columns in self.columns.items():
            if name in values:
                values[name] = _as_json(name, cast("Rows", values[name]), columns)
        try:
            ordered = [values[name] for name in self.parameters]
        except KeyError:
            ordered = []
        if len(ordered) != len(self.parameters) or len(ordered) != len(values):
            missing = sorted(set(self.parameters) - values.keys())
            unknown = sorted(values.keys() - set(self.parameters))
            raise TypeError(f"missing parameters: {missing}, unknown parameters: {unknown}")
        return ordered


def load_sql(package: str, name: str) -> Statement:
    """Read a statement from a file of a package: ``load_sql("auth_service.lifecycle", "add_account.sql")``."""
    return parse_sql(files(package).joinpath(name).read_text(encoding="utf-8"))


def parse_sql(text: str) -> Statement:
    """Number each ``:name`` by its first occurrence and drop comments.

    Raises ``ValueError`` for a ``$1``, and for rows whose columns it cannot read.
    """
    names: dict[str, int] = {}

    def convert(token: re.Match[str]) -> str:
        if token["comment"] is not None:
            return " "
        if token["number"] is not None:
            raise ValueError(f"{token[0]} in a statement with named parameters")
        if token["name"] is None:
            return token[0]
        return f"${names.setdefault(token['name'], len(names) + 1)}"

    numbered, parameters = _TOKENS.sub(convert, text).strip(), tuple(names)
    return Statement(numbered, parameters, _columns(numbered, parameters))


def _columns(text: str, parameters: Sequence[str]) -> dict[str, frozenset[str]]:
    """The columns of each parameter that the statement reads as rows. Raises ``ValueError`` if they are not plain."""
    columns = {
        parameters[int(rows["number"]) - 1]: frozenset(column.split()[0] for column in rows["columns"].split(","))
        for rows in _ROWS.finditer(text)
    }
    if len(columns) != text.lower().count("json_to_recordset("):
        raise ValueError("rows are read once each: json_to_recordset(:rows::json) as name (column type, ...)")
    return columns


def _as_json(name: str, rows: Rows, columns: frozenset[str]) -> str:
    """Rows as one parameter. Without the comparison of names, PostgreSQL would read null for one that is missing."""
    for row in rows:
        if row.keys() != columns:
            raise TypeError(f"{name}: the columns {sorted(row.keys() ^ columns)} are missing, or unknown")
    return orjson.dumps(rows, default=_json_value).decode()


def _json_value(value: object) -> str:
    """What JSON has no word for: bytes as ``bytea`` reads them, and a UUID as asyncpg returns it."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"a row with a {type(value).__name__}")
