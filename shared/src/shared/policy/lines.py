"""What a service promises, as figures that follow from its settings."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

Topic = Literal["guess", "spend", "learn", "keep-out", "reuse"]
"""What an attacker wants: to guess a code or a password, spend our money, learn who is a member, keep a victim out."""
Call = Literal["code", "existence", "log_in", "contacts"]
"""The call of a contract that a line is about; ``existence`` are answers that tell whether a number has an account."""
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
