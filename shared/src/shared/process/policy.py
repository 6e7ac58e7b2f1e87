"""What a service promises, as figures that follow from its settings: lines for people, or as JSON for programs.

``python -m shared.process.policy`` reads lines as JSON from its standard input and prints the table.
"""

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

Topic = Literal["guess", "spend", "learn", "keep-out", "reuse"]
"""What an attacker wants: to guess a code or a password, spend our money, learn who is a member, keep a victim out."""
Call = Literal["code", "log_in", "contacts"]
"""The call of a contract that a line is about. A request for a code also tells whether the number has an account."""
TITLES: dict[Topic, str] = {
    "guess": "Guess a code or a password",
    "spend": "Make messages cost money",
    "learn": "Learn which numbers have an account",
    "keep-out": "Keep a victim out",
    "reuse": "Use a code or a ticket again",
}
WIDTH = 110
DAY_HOURS = 24


class PolicyLine(BaseModel):
    """One promise: an attacker gets at most ``at_most`` of ``unit``; None if nothing limits it.

    ``name`` is stable, such as ``keep-out.code.owner``. ``cost`` is what it costs an attacker to get that far.
    ``dialects`` are the contracts that the line is about; without them, all that have the call ``call``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: Topic
    name: str
    who: str
    at_most: float | None
    unit: str
    cost: str = ""
    note: str = ""
    call: Call = "code"
    dialects: tuple[str, ...] = ()

    @property
    def limit(self) -> str:
        """The promise in words."""
        if self.at_most is None:
            return f"any number of {self.unit}"
        return f"{self.at_most:,.10g} {self.unit}" if self.at_most else "not possible"


LINES = TypeAdapter(list[PolicyLine])


def in_first_day(at_once: int, an_hour: int) -> int:
    """The most that a limit allows in its first day, if it allows so many at once and so many more in each hour."""
    return at_once + DAY_HOURS * an_hour


def windows_in_a_day(window_hours: float) -> int:
    """How many windows of a limit a day can touch: a window begins with the first call in it."""
    return int(DAY_HOURS / window_hours) + 1


def write(lines: Sequence[PolicyLine], *, as_json: bool) -> None:
    """Print the lines."""
    sys.stdout.write(LINES.dump_json(list(lines), indent=2).decode() + "\n" if as_json else render(lines))


def render(lines: Iterable[PolicyLine]) -> str:
    """The lines for people, by topic. A line about all contracts names none."""
    found = list(lines)
    every = frozenset(name for line in found for name in line.dialects)
    groups = [(title, [line for line in found if line.topic == topic]) for topic, title in TITLES.items()]
    return "\n".join(f"{title}\n{''.join(_entry(line, every) for line in group)}" for title, group in groups if group)


def _entry(line: PolicyLine, every: frozenset[str]) -> str:
    where = f" ({', '.join(line.dialects)})" if every - set(line.dialects) and line.dialects else ""
    details = [text for text in (line.cost and f"cost: {line.cost}", line.note) if text]
    paragraphs = [f"{line.who}{where}: {line.limit}", *details]
    return "".join(_wrapped(text, first="  " if index == 0 else "      ") for index, text in enumerate(paragraphs))


def _wrapped(text: str, first: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent="      ") + "\n"


def main(read: Callable[[], str] = sys.stdin.read) -> None:
    """Print the table of lines that are given as JSON."""
    write(LINES.validate_python(json.loads(read())), as_json=False)


if __name__ == "__main__":
    main()
