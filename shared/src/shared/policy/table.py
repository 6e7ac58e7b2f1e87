"""Prints promises: a table for people, or JSON for programs.

``python -m shared.policy.table`` reads lines as JSON from its standard input and prints the table.
"""

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence

from shared.policy.lines import LINES, PolicyLine, Topic

TITLES: dict[Topic, str] = {
    "guess": "Guess a code or a password",
    "spend": "Make messages cost money",
    "learn": "Learn which numbers have an account",
    "keep-out": "Keep a victim out",
    "reuse": "Use a code or a ticket again",
}
WIDTH = 110


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
