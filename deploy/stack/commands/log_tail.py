"""Follow the log files of several processes on one terminal, for a person; each line starts with its process."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from stack.commands.log_lines import for_people

COLOURS = (36, 33, 35, 32, 34)


class LogTail:
    """Prints what people need of the lines in log files (``log_lines``), from the start of each file until ``stop``."""

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
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-tail", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Print the remaining lines and close the files."""
        self._stopped.set()
        self._thread.join()
        for _, file in self._files:
            file.close()

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            self._print_new_lines()
        self._print_new_lines()

    def _print_new_lines(self) -> None:
        for label, file in self._files:
            *lines, self._rests[label] = (self._rests[label] + file.read()).split(b"\n")
            for line in lines:
                for shown in for_people(line.decode(errors="replace")):
                    print(label, shown, flush=True)
