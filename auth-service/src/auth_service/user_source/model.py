"""What the user source is asked for, and what it says if it does not answer that."""

from typing import Literal

Field = Literal["phone", "name"]


class SourceFailedError(Exception):
    """The user source gave none of its two answers. ``reason`` is a word of ours, or a status."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
