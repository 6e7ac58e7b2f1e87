"""Long SQL statements as ``.sql`` files with named parameters, which PostgreSQL wants numbered."""

import re
from dataclasses import dataclass
from importlib.resources import files

# Comments, quoted text and casts are passed over: only a single colon before a name is a parameter.
_TOKEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|::|:(?P<name>[a-z_][a-z0-9_]*)")


@dataclass(frozen=True)
class Statement:
    """A statement as asyncpg takes it: ``$1`` stands for ``parameters[0]``."""

    text: str
    parameters: tuple[str, ...]

    def arguments(self, **values: object) -> list[object]:
        """The values in the order of their numbers. Raises ``TypeError`` for a missing or an unknown name."""
        if values.keys() != set(self.parameters):
            wrong = sorted(values.keys() ^ set(self.parameters))
            raise TypeError(f"missing or unknown parameters: {', '.join(wrong)}")
        return [values[name] for name in self.parameters]


def load_sql(package: str, name: str) -> Statement:
    """The statement in the file ``name`` of a package, as in ``load_sql("auth_service.lifecycle", "add_account.sql")``."""
    return parse_sql(files(package).joinpath(name).read_text())


def parse_sql(text: str) -> Statement:
    """A statement with ``:name`` for its parameters, each numbered where it stands first."""
    names: list[str] = []

    def number(token: re.Match[str]) -> str:
        name = token["name"]
        if name is None:
            return "" if token[0].startswith("--") else token[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return Statement(_TOKEN.sub(number, text), tuple(names))
