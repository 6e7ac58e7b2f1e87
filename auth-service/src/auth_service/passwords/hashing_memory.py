"""The memory of a hashing thread: what argon2id fills is kept between hashes, and lies in large pages.

argon2id reads its memory in no order. In pages of 4 KiB nearly every block takes a walk through the page tables: an
eighth of the time of a hash (docs/decisions/0090). argon2 clears its memory before it frees it, so only room is kept.
"""

import ctypes
import mmap
import sys

LARGE_PAGE = 2 << 20
BYTES = 20 << 20
"""Kept by each thread: a hash of ``hasher.Cost`` takes 19 MiB."""
MAX_HEAP_BLOCK = 32 << 20
"""The largest that glibc allows: a block below it comes from the heap of its thread, which keeps what is freed."""
TRIM_ABOVE = 40 << 20
"""Free memory at the end of a heap that glibc returns to the kernel: more than a thread keeps."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The parameters of glibc's ``mallopt`` (malloc.h)."""


def keep_in_large_pages() -> None:
    """Keep ``BYTES`` in the heap of this thread, in large pages if the kernel has them; without glibc, do nothing.

    It is only advice: without the memory, nothing is kept. To be called before the thread hashes.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    libc.mallopt(M_MMAP_THRESHOLD, MAX_HEAP_BLOCK)
    libc.mallopt(M_TRIM_THRESHOLD, TRIM_ABOVE)
    block = libc.malloc(BYTES)
    if block is None:
        return
    start, end = _aligned(block), _aligned(block + BYTES)
    libc.madvise(start, end - start, mmap.MADV_HUGEPAGE)
    libc.free(block)


def _aligned(address: int) -> int:
    """The beginning of the large page that contains the address: of the heap, where the block is its first."""
    return address & ~(LARGE_PAGE - 1)
