"""What sms-service is told of a dialect: its cooldown and its daily cap, which the gateway sends with requests."""

from dataclasses import dataclass
from typing import Self

from sms_service.verification.send_limits import SENDS_PER_WINDOW


@dataclass(frozen=True)
class DialectRules:
    """The sending rules of one dialect. ``cooldown`` is in seconds, ``daily_cap`` in codes of this dialect."""

    name: str
    cooldown: int
    daily_cap: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``tel:60:3``. Raises ``ValueError``."""
        name, cooldown, daily_cap = text.split(":")
        return cls(name, int(cooldown), int(daily_cap))


ANY = DialectRules("", 60, SENDS_PER_WINDOW)
"""The rules that hold in a contract that sets none of its own."""
