"""Signals that ask a stack to stop. This module imports little, so a start can listen before it does anything slow."""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

PR_SET_PDEATHSIG = 1


class StopRequest:
    """Listens from construction for Ctrl-C, SIGTERM, a closed terminal and the end of the parent process.

    A shell starts the background jobs of a script with SIGINT ignored. Our own handlers undo that, in this process and
    in every process that it starts later: a child inherits ignored signals, and gets the default action for the others.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.on_repeat: Callable[[], None] = lambda: None
        """Called at each request after the first: the developer does not want to wait any longer."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.event.is_set():
            self.on_repeat()
        self.event.set()


def accept_interrupts() -> None:
    """Undo an inherited "ignore SIGINT" for this process and its children. Call it in the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
