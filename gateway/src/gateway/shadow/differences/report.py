"""What became of the recorded calls: counts, and the differences by call and field."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from gateway.shadow.differences.comparison import Difference, Kind
from gateway.shadow.differences.expectations import Expectation, Expectations
from gateway.shadow.recorded.calls import ContractCall

MAX_EXAMPLES = 5
"""How many line numbers the report names for each difference."""


class Skipped(StrEnum):
    """Why a call was not sent."""

    OTHER = "of no contract"
    CHANGES = "would change something (needs --copy)"
    FAILED = "the other back end failed (HTTP 5xx)"


@dataclass
class DifferenceCount:
    """A difference that some calls have. The descriptions are those of the first of them."""

    call: str
    address: str
    field: str
    kind: Kind
    recorded: str
    haoma: str
    reason: str = ""
    count: int = 0
    lines: list[int] = dataclasses.field(default_factory=list)

    @property
    def key(self) -> tuple[str, ...]:
        """What the difference is counted by."""
        return self.call, self.address, self.field, self.kind, self.reason

    def text(self) -> str:
        """The difference on a line."""
        times = "once" if self.count == 1 else f"{self.count} times"
        lines = ", ".join(map(str, self.lines)) + (", …" if self.count > len(self.lines) else "")
        because = f"; {self.reason}" if self.reason else ""
        return (
            f"{self.field}: {self.kind}: recorded {self.recorded}, Haoma {self.haoma}; {times}, line {lines}{because}"
        )


@dataclass
class Report:
    """The counts so far. ``broken`` are lines that cannot be read, by their reasons."""

    read: int = 0
    compared: int = 0
    differing: int = 0
    following: int = 0
    skipped: Counter[str] = dataclasses.field(default_factory=Counter)
    broken: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    calls: Counter[str] = dataclasses.field(default_factory=Counter)
    differences: dict[tuple[str, ...], DifferenceCount] = dataclasses.field(default_factory=dict)
    expected: Counter[str] = dataclasses.field(default_factory=Counter)

    def count_broken(self, line: int, reason: str) -> None:
        """A line is no call."""
        self.read += 1
        self.broken.setdefault(reason, []).append(line)

    def count_skipped(self, reason: Skipped) -> None:
        """A call was not sent."""
        self.read += 1
        self.skipped[reason.value] += 1

    def count_alike(self, call: ContractCall) -> None:
        """Both back ends gave the same answer."""
        self.read += 1
        self.compared += 1
        self.calls[call.dialect.name] += 1

    def count_following(self, call: ContractCall) -> None:
        """Answers differ, and so did those to an earlier call of the same user."""
        self.count_alike(call)
        self.following += 1

    def count_differing(
        self, line: int, call: ContractCall, differences: list[Difference], expectations: Expectations
    ) -> None:
        """Answers differ."""
        self.count_alike(call)
        explanations = [expectations.explanation(call.name, each) for each in differences]
        self.differing += None in explanations
        for difference, explanation in zip(differences, explanations, strict=True):
            self._count(line, call, difference, explanation)

    def _count(self, line: int, call: ContractCall, difference: Difference, explanation: Expectation | None) -> None:
        reason = explanation.reason if explanation else ""
        new = DifferenceCount(call.name, call.address, **vars(difference), reason=reason)
        found = self.differences.setdefault(new.key, new)
        found.count += 1
        if line not in found.lines and len(found.lines) < MAX_EXAMPLES:
            found.lines.append(line)
        if explanation is not None:
            self.expected[explanation.key] += 1

    @property
    def unexplained(self) -> list[DifferenceCount]:
        """The differences that no expectation explains."""
        return [each for each in self.differences.values() if not each.reason]

    @property
    def is_clean(self) -> bool:
        """Whether every line was a call, and every difference is explained."""
        return not self.broken and not self.unexplained

    def texts(self, expectations: Expectations) -> Iterator[str]:
        """The report, a line each."""
        yield f"{self.read} calls read, {self.compared} compared" + _listed(self.calls)
        for reason, count in self.skipped.items():
            yield f"  {count} not sent: {reason}"
        for reason, lines in self.broken.items():
            yield f"  {len(lines)} lines cannot be read: {reason} (line {_numbers(lines)})"
        yield f"{len(self.unexplained)} unexplained differences, in {self.differing} calls"
        yield from _by_call(self.unexplained)
        if self.following:
            yield f"{self.following} calls differ after another outcome of an earlier call of the same user"
        explained = [each for each in self.differences.values() if each.reason]
        yield f"{len(explained)} explained differences"
        yield from _by_call(explained)
        yield from (f"expected, and not seen: {each.call}, {each.field}" for each in self.unseen(expectations))

    def unseen(self, expectations: Expectations) -> list[Expectation]:
        """The expectations that explained nothing."""
        return [each for each in expectations.all if not self.expected[each.key]]

    def to_json(self) -> dict[str, Any]:
        """The report for programs, and for a checkpoint."""
        return vars(self) | {"differences": [vars(each) for each in self.differences.values()]}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """From a checkpoint."""
        counted = [DifferenceCount(**{**each, "kind": Kind(each["kind"])}) for each in fields["differences"]]
        keyed = {each.key: each for each in counted}
        counters = {name: Counter(fields[name]) for name in ("skipped", "calls", "expected")}
        return cls(**{**fields, **counters, "differences": keyed})


def _listed(counts: Counter[str]) -> str:
    return ": " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) if counts else ""


def _numbers(lines: list[int]) -> str:
    shown = ", ".join(map(str, lines[:MAX_EXAMPLES]))
    return shown + (", …" if len(lines) > MAX_EXAMPLES else "")


def _by_call(differences: list[DifferenceCount]) -> Iterator[str]:
    calls = dict.fromkeys((each.call, each.address) for each in differences)
    for call, address in calls:
        yield f"  {call}, {address}"
        yield from (f"    {each.text()}" for each in differences if (each.call, each.address) == (call, address))
