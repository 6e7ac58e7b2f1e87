"""Showing the log files of several processes on one terminal, each line under its process's name."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO

COLOURS = (36, 33, 35, 32, 34)


class Follower:
    """Prints what is appended to some log files until it is stopped."""

    def __init__(self, logs: Iterable[tuple[str, Path]], *, coloured: bool) -> None:
        self._files: list[tuple[str, IO[bytes]]] = []
        named = list(logs)
        width = max(len(name) for name, _ in named)
        for index, (name, path) in enumerate(named):
            label = f"{name:<{width}} |"
            self._files.append(
                (f"\033[{COLOURS[index % len(COLOURS)]}m{label}\033[0m" if coloured else label, path.open("rb"))
            )
        self._rests = dict.fromkeys((label for label, _ in self._files), b"")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Print what is left and end."""
        self._ended.set()
        self._thread.join()
        for _, file in self._files:
            file.close()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            self._print_new()
        self._print_new()

    def _print_new(self) -> None:
        for label, file in self._files:
            *lines, self._rests[label] = (self._rests[label] + file.read()).split(b"\n")
            for line in lines:
                print(label, line.decode(errors="replace"), flush=True)
