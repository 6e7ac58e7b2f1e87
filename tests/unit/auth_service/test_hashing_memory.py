"""The memory of the hashing threads: kept from hash to hash, in large pages, and empty between two hashes."""

import ctypes
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from argon2.low_level import Type, hash_secret_raw

from auth_service.passwords.hasher import Cost
from auth_service.passwords.hashing_memory import BYTES, keep_in_large_pages

LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
FILLED = Cost().memory_kib * 1024
HEADERS = 4096
"""At the beginning and the end of a block, where malloc may write."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="with glibc on Linux only"
)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, initializer=keep_in_large_pages) as pool:
        yield pool


def hash_once() -> None:
    cost = Cost()
    hash_secret_raw(b"secret", b"0123456789abcdef", cost.passes, cost.memory_kib, 1, 32, Type.ID)


def with_free_block(use: Callable[[int], bytes]) -> bytes:
    """What ``use`` returns for the address of a block of argon2's size, which is free again afterwards."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p, (ctypes.c_size_t,), (ctypes.c_void_p,),
    )  # fmt: skip
    address = libc.malloc(FILLED)
    try:
        return use(address)
    finally:
        libc.free(address)


def flags_of(address: int) -> bytes:
    """The flags of the memory area that contains the address (proc(5), ``VmFlags``)."""
    inside = False
    for line in Path("/proc/self/smaps").read_bytes().splitlines():
        name, _, rest = line.partition(b" ")
        if b"-" in name and not name.endswith(b":"):
            start, end = (int(bound, 16) for bound in name.split(b"-"))
            inside = start <= address < end
        elif inside and name == b"VmFlags:":
            return rest
    return b""


def test_a_hash_finds_room_that_is_there_already(thread: ThreadPoolExecutor) -> None:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        hash_once()
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    thread.submit(hash_once).result()

    assert min(thread.submit(faults).result() for _ in range(5)) == 0


@pytest.mark.skipif(not LARGE_PAGES.exists(), reason="the kernel has no large pages for memory without files")
def test_the_memory_of_a_hash_lies_in_large_pages(thread: ThreadPoolExecutor) -> None:
    def flags_in_the_middle() -> bytes:
        return with_free_block(lambda address: flags_of(address + FILLED // 2))

    thread.submit(hash_once).result()

    assert b"hg" in thread.submit(flags_in_the_middle).result().split()


def test_nothing_that_a_hash_computed_is_left_in_the_memory(thread: ThreadPoolExecutor) -> None:
    def fill() -> bytes:
        return with_free_block(lambda address: bytes(bool(ctypes.memset(address, 0xFF, FILLED))))

    def content() -> bytes:
        return with_free_block(lambda address: ctypes.string_at(address + HEADERS, FILLED - 2 * HEADERS))

    thread.submit(fill).result()
    assert set(thread.submit(content).result()) == {0xFF}
    thread.submit(hash_once).result()

    assert set(thread.submit(content).result()) == {0}


def test_a_hash_of_our_cost_has_room() -> None:
    assert FILLED < BYTES
