"""Reads the file line by line, in batches, with bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from auth_service.importing.schema import MAX_LINE_BYTES

MAX_BATCH_LINES = 256
LINES_A_THREAD = 128
"""The lines of a batch for each hashing thread: so much hashing that the threads hardly stand still between batches."""
BATCHES_A_SECOND = 2
"""How many batches there are in a second at least, where a rate limits the users."""


class BatchSize:
    """How many lines the next batch has.

    A batch is one transaction, and its events leave together. So it is small while there are users to import, who are
    hashed one by one anyway, and services beside it notice no burst. It grows while the users of the lines were all
    imported before.
    """

    def __init__(self, threads: int, rate: int) -> None:
        """``rate`` is in users a second."""
        self._least = max(1, min(MAX_BATCH_LINES, LINES_A_THREAD * threads, rate // BATCHES_A_SECOND))
        self.lines = self._least

    def note(self, imported: int) -> None:
        """The last batch had so many new users."""
        self.lines = self._least if imported else min(2 * self.lines, MAX_BATCH_LINES)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file. ``content`` of one that is too long is cut one byte above the limit."""

    number: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Some lines, and how many bytes of the file were read with the last of them. Empty lines are left out."""

    lines: tuple[Line, ...]
    bytes_read: int


def read_batches(file: BinaryIO, size: BatchSize) -> Iterator[LineBatch]:
    """The lines of a file in order. The last one needs no end of line."""
    batch: list[Line] = []
    number = bytes_read = 0
    while content := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        bytes_read += len(content) + _skip_rest(file, content)
        if content.strip():
            batch.append(Line(number, content))
        if len(batch) >= size.lines:
            yield LineBatch(tuple(batch), bytes_read)
            batch = []
    if batch:
        yield LineBatch(tuple(batch), bytes_read)


def _skip_rest(file: BinaryIO, content: bytes) -> int:
    """Go past what a line has beyond the limit. Returns the number of bytes."""
    skipped = 0
    while len(content) == MAX_LINE_BYTES + 1 and not content.endswith(b"\n"):
        content = file.readline(MAX_LINE_BYTES + 1)
        skipped += len(content)
        if len(content) <= MAX_LINE_BYTES:
            break
    return skipped
