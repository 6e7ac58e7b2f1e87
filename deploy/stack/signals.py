"""Signals that ask a stack to stop. It imports little: a start listens before it does anything that takes time."""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

PR_SET_PDEATHSIG = 1


class StopRequest:
    """Listens from now on for Ctrl-C, SIGTERM, a closed terminal and the end of the parent process.

    A shell starts the background jobs of a script with SIGINT ignored. Handlers of our own undo that, here and in
    every process started later: a child takes over what its parent ignores, and gets the default action for the rest.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.on_repeat: Callable[[], None] = lambda: None
        """Called at each request after the first: no more patience."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.event.is_set():
            self.on_repeat()
        self.event.set()


def heed_interrupts() -> None:
    """Undo an inherited "ignore SIGINT", for this process and those it starts. Call it in the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
