"""Reads the file line by line, in batches, with bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from auth_service.importing.schema import MAX_LINE_BYTES

BATCH_LINES = 256


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


def read_batches(file: BinaryIO, size: int = BATCH_LINES) -> Iterator[LineBatch]:
    """The lines of a file in order. The last one needs no end of line."""
    batch: list[Line] = []
    number = bytes_read = 0
    while content := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        bytes_read += len(content) + _skip_rest(file, content)
        if content.strip():
            batch.append(Line(number, content))
        if len(batch) == size:
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
