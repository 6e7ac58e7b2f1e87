"""What a shadow run has learned so far: which value of Haoma stands for which value of the recording."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass
class KnownValues:
    """Values by those of the recording. Tokens and codes are secrets of the copy: they never go into a report.

    ``numbers`` says to which number a token of the recording belongs. ``registered`` are the numbers that registered in
    the recording: the ids of their accounts are new in each system.
    """

    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    ids: dict[str, str] = field(default_factory=dict, repr=False)
    numbers: dict[str, str] = field(default_factory=dict, repr=False)
    registered: set[str] = field(default_factory=set, repr=False)
    codes: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    """By number, then by the recorded code."""
    last_messages: dict[str, str] = field(default_factory=dict, repr=False)
    """By number: the id of the newest message that was read."""
    unread: set[str] = field(default_factory=set, repr=False)
    """Numbers to which a code was sent since."""
    diverged: dict[str, int] = field(default_factory=dict, repr=False)
    """By number: the line of the first call that changed something for one back end only."""

    def code(self, number: str, recorded: str) -> str | None:
        """The code that stands for a recorded one."""
        return self.codes.get(number, {}).get(recorded)

    def learn_code(self, number: str, recorded: str, code: str) -> None:
        """A code of the copy stands for a recorded one."""
        self.codes.setdefault(number, {})[recorded] = code

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {name: sorted(each) if isinstance(each, set) else each for name, each in asdict(self).items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """From a checkpoint."""
        sets = {name: set(fields[name]) for name in ("registered", "unread")}
        return cls(**{**fields, **sets})
