"""The progress of a run, with its rate and the time left."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TextIO

BAR_WIDTH = 30
TERMINAL_SECONDS = 0.5
LOG_SECONDS = 10.0


class Progress:
    """A bar on a terminal, and elsewhere a line every ten seconds. Without ``total_bytes`` it has no time left."""

    def __init__(self, stream: TextIO, total_bytes: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._total_bytes = total_bytes
        self._clock = clock
        self._started = self._shown = clock()
        self._is_terminal = stream.isatty()

    def note(self, calls: int, bytes_read: int) -> None:
        """So many calls were read."""
        now = self._clock()
        if now - self._shown >= (TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS):
            self._shown = now
            text = self.text(calls, bytes_read)
            self._stream.write(f"\r{text}\x1b[K" if self._is_terminal else f"{text}\n")
            self._stream.flush()

    def close(self) -> None:
        """End the line of a bar."""
        if self._is_terminal:
            self._stream.write("\n")

    def text(self, calls: int, bytes_read: int) -> str:
        """The line to show."""
        seconds = max(self._clock() - self._started, 0.001)
        rate = f"{calls} calls, {calls / seconds:.0f} a second"
        if not self._total_bytes or not bytes_read:
            return rate
        done = min(bytes_read / self._total_bytes, 1.0)
        filled = round(done * BAR_WIDTH)
        left = timedelta(seconds=round(seconds / done - seconds))
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done:4.0%}  {rate}, {left} left"
