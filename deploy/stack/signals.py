"""Signals that ask a stack to stop. This module imports little, so a start can listen before it does anything slow."""

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable
from types import FrameType

PR_SET_PDEATHSIG = 1


class StopRequest:
    """Listens from construction for Ctrl-C, SIGTERM, a closed terminal and the end of the parent process.

    A shell starts the background jobs of a script with SIGINT ignored. Our own handlers undo that, in this process and
    in every process that it starts later: a child inherits ignored signals, and gets the default action for the others.

    A handler may run inside of another one, so it takes no lock, as that of ``threading.Event``: it writes to a pipe.
    """

    def __init__(self) -> None:
        self.is_made = False
        self._reader, self._writer = os.pipe()
        self.on_repeat: Callable[[], None] = lambda: None
        """Called at each request after the first: the developer does not want to wait any longer."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_made:
            self.on_repeat()
            return
        self.is_made = True
        os.write(self._writer, b"\0")

    def wait(self, seconds: float) -> bool:
        """Wait until a request is made, for at most ``seconds``. Returns whether one is."""
        select.select([self._reader], [], [], seconds)
        return self.is_made


def accept_interrupts() -> None:
    """Undo an inherited "ignore SIGINT" for this process and its children. Call it in the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
