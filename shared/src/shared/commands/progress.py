"""The progress of a command that reads or writes many lines, with its rate and the time left."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TextIO

BAR_WIDTH = 30
TERMINAL_SECONDS = 0.5
LOG_SECONDS = 10.0


class Progress:
    """A bar on a terminal, and elsewhere a line every ten seconds. Without a ``total`` it tells no time left."""

    def __init__(self, stream: TextIO, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._total = total
        self._clock = clock
        self._started = self._shown = clock()
        self._is_terminal = stream.isatty()

    def note(self, lines: int, done: int) -> None:
        """So many lines are done, and so much of the total, in its unit: bytes or lines."""
        now = self._clock()
        if now - self._shown >= (TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS):
            self._shown = now
            text = self.text(lines, done)
            self._stream.write(f"\r{text}\x1b[K" if self._is_terminal else f"{text}\n")
            self._stream.flush()

    def close(self) -> None:
        """End the line of a bar."""
        if self._is_terminal:
            self._stream.write("\n")

    def text(self, lines: int, done: int) -> str:
        """The line to show."""
        seconds = max(self._clock() - self._started, 0.001)
        rate = f"{lines} lines, {lines / seconds:.0f} a second"
        if not self._total or not done:
            return rate
        share = min(done / self._total, 1.0)
        filled = round(share * BAR_WIDTH)
        left = timedelta(seconds=round(seconds / share - seconds))
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {share:4.0%}  {rate}, {left} left"
