"""Fills a filter in a process of its own, so that five million references do not delay a single answer."""

import asyncio
import contextlib
import mmap
import os
import sys
from array import array
from collections.abc import AsyncIterator
from typing import cast

from shared.numbers.ref_filter import RefFilter, bytes_for

CHUNK_BYTES = 64 * 1024
NICENESS = 5
"""A fill that shares a core with the answers waits for them."""


class FillingError(Exception):
    """The process ended before it had filled the filter."""


async def fill(pages: AsyncIterator[bytes], expected: int) -> RefFilter:
    """A filter of all references in ``pages``, each 8 bytes, big-endian, with room for ``expected`` of them.

    Raises ``FillingError``, ``OSError`` and what ``pages`` raises.
    """
    memory = os.memfd_create("filter")
    try:
        size = bytes_for(expected)
        os.ftruncate(memory, size)
        entries = await _fill(pages, memory)
        return RefFilter(await asyncio.to_thread(_copied, memory, size), entries)
    finally:
        os.close(memory)


def _copied(memory: int, size: int) -> mmap.mmap:
    """A copy in large pages, which shared memory does not have: they save a quarter of each look-up.

    Reading a descriptor does not hold the interpreter's lock, so the event loop runs meanwhile.
    """
    copy = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without large pages
        copy.madvise(mmap.MADV_HUGEPAGE)
    read = 0
    with memoryview(copy) as view:
        while read < size:
            read += os.preadv(memory, [view[read:]], read)
    return copy


async def _fill(pages: AsyncIterator[bytes], memory: int) -> int:
    command, pipe = (sys.executable, "-m", __name__, str(memory)), asyncio.subprocess.PIPE
    without_settings = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, pass_fds=[memory], env=without_settings
    )
    try:
        references, report = _pipes(process)
        async for page in pages:
            references.write(page)
            with contextlib.suppress(ConnectionError):  # it has ended: its status says so
                await references.drain()
        references.close()
        entries = await report.read()
        if await process.wait() != 0:
            raise FillingError(f"the process ended with {process.returncode}")
        return int(entries)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _pipes(process: asyncio.subprocess.Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    return cast("asyncio.StreamWriter", process.stdin), cast("asyncio.StreamReader", process.stdout)


def main() -> None:
    """Add the references of the standard input to the filter in shared memory, and print how many it has."""
    os.nice(NICENESS)
    with mmap.mmap(int(sys.argv[1]), 0) as bits:
        ref_filter = RefFilter(bits)
        while chunk := sys.stdin.buffer.read(CHUNK_BYTES):
            refs = array("q", chunk)
            if sys.byteorder == "little":
                refs.byteswap()
            ref_filter.add(refs)
    sys.stdout.write(str(ref_filter.entries))


if __name__ == "__main__":
    main()
