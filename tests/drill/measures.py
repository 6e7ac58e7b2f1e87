"""What a row of the drill is: an attack on the running system, and the figure that it is measured by."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drill.target import Target

Line = Mapping[str, Any]
"""A promise, as ``make policy`` prints it with ``--json``."""


@dataclass(frozen=True)
class Measured:
    """The figure, in the unit of the promise. ``scale`` is how much of what the promise is about was tried.

    ``tries`` says what was tried, in words.
    """

    figure: float
    tries: str
    scale: float = 1.0


@dataclass(frozen=True)
class Row:
    """An attack that measures the promise ``name``."""

    name: str
    attack: Callable[[Target], Awaitable[Measured]]


@dataclass(frozen=True)
class Outcome:
    """What was measured beside what is promised: the strictest of the lines with the row's name."""

    line: Line
    measured: Measured

    @property
    def promised(self) -> float:
        """The promise for as much as was tried."""
        return float(self.line["at_most"]) * self.measured.scale

    @property
    def holds(self) -> bool:
        return self.measured.figure <= self.promised


def promise(lines: Iterable[Line], name: str) -> Line:
    """The strictest line of a name that promises a figure. Raises ``LookupError`` if there is none."""
    found = [line for line in lines if line["name"] == name and line["at_most"] is not None]
    if not found:
        raise LookupError(f"the policy promises nothing about {name}")
    return min(found, key=lambda line: float(line["at_most"]))
