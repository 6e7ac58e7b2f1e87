"""Where an export goes: a file that only its owner can read and that is there when it is whole, or standard output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

STANDARD_OUTPUT = "-"
OWNER_ONLY = 0o600


class OutputRefusedError(Exception):
    """The export does not begin, because of where it would go."""


@contextmanager
def opened_output(name: str) -> Iterator[BinaryIO]:
    """A stream to write to. Raises ``OutputRefusedError`` for a terminal and for a file that exists, and ``OSError``.

    A file has the suffix ``.part`` until the block ends, and is deleted if it ends with an error. So a file with its
    own name is whole.
    """
    if name == STANDARD_OUTPUT:
        if sys.stdout.isatty():
            raise OutputRefusedError("standard output is a terminal; name a file, or pipe it into a program")
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stream:
            yield stream
        return
    path, part = Path(name), Path(f"{name}.part")
    if path.exists():
        raise OutputRefusedError(f"{path} exists; no file is written over")
    created = _created(part)
    try:
        with os.fdopen(created, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _created(path: Path) -> int:
    """A new file: one that another export writes is not ours to go on with, and not ours to delete."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        raise OutputRefusedError(f"{path} exists: another export writes it, or one was killed; delete it") from None
