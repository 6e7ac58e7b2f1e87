"""Differences that were decided: which call and field they are in, and why."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.shadow.differences.comparison import Difference, Kind


class ExpectationError(ValueError):
    """A line of the file is no expectation."""


class Expectation(BaseModel):
    """A difference that is no surprise. ``call`` and ``field`` may have ``*``; without ``kind`` it is of any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    call: str = Field(min_length=1)
    field: str = Field(min_length=1)
    kind: Kind | None = None
    reason: str = Field(min_length=1)

    @property
    def key(self) -> str:
        """What it is counted by."""
        return " ".join((self.call, self.field, self.kind or "*"))

    def explains(self, call: str, difference: Difference) -> bool:
        """Whether a difference in a call is the expected one."""
        is_kind = self.kind in (None, difference.kind)
        return is_kind and fnmatchcase(call, self.call) and fnmatchcase(difference.field, self.field)


_LINE = TypeAdapter(Expectation)


class Expectations:
    """The expectations of a file, in their order."""

    def __init__(self, expectations: Sequence[Expectation] = ()) -> None:
        self.all = tuple(expectations)

    @classmethod
    def read(cls, path: Path) -> Self:
        """A JSON object for each, one a line. Raises ``OSError`` and ``ExpectationError`` with the line."""
        found = []
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if line.strip():
                try:
                    found.append(_LINE.validate_json(line))
                except ValidationError as error:
                    where = ".".join(map(str, error.errors()[0]["loc"])) or "JSON"
                    raise ExpectationError(f"{path}, line {number}: {where} is missing or invalid") from None
        return cls(found)

    def explanation(self, call: str, difference: Difference) -> Expectation | None:
        """The first expectation that explains a difference."""
        return next((each for each in self.all if each.explains(call, difference)), None)
