"""The file that a command reads, or standard input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

STANDARD_INPUT = "-"


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """The file, or standard input. Raises ``OSError``."""
    if name == STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


def size_of(name: str) -> int | None:
    """The bytes of a file; None where they are not known."""
    path = Path(name)
    return path.stat().st_size if name != STANDARD_INPUT and path.is_file() else None
