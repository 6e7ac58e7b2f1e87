"""A set of references in one bit each, which may contain more than was added. It imports nothing that takes memory."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Protocol

MIN_SLOTS_LOG2 = 22
SLOTS_PER_ENTRY = 32
"""The usual number: at most one miss in 32 passes the filter."""


class Bits(Protocol):
    """Bytes that can be changed: a ``bytearray``, or memory that two processes share."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


def bytes_for(entries: int, slots_per_entry: int = SLOTS_PER_ENTRY) -> int:
    """How many bytes a filter of ``entries`` references needs: a power of two."""
    return int(2 ** max(MIN_SLOTS_LOG2, (entries * slots_per_entry - 1).bit_length()) // 8)


class RefFilter:
    """A set of references with false positives and no false negatives: a Bloom filter with one hash function.

    There is one bit for each slot, and a reference's slot is its top bits: references are uniformly distributed, so
    they need no hash. Negative references have negative slots, which Python indexes from the end.
    """

    def __init__(self, bits: Bits, entries: int = 0) -> None:
        """A filter in ``bits``, as many as ``bytes_for`` says, which contain ``entries`` references already."""
        self.slots = 8 * len(bits)
        self.entries = entries
        self._bits = bits
        self._shift = 65 - self.slots.bit_length()

    @property
    def outgrown(self) -> bool:
        """Whether it has too many false positives, if it was made with the usual number of slots for each entry."""
        return self.entries * SLOTS_PER_ENTRY > self.slots

    def add(self, refs: Iterable[int]) -> None:
        """Add references."""
        bits, shift, entries = self._bits, self._shift, self.entries
        for ref in refs:
            slot = ref >> shift
            byte = bits[slot >> 3]
            if not byte & (bit := 1 << (slot & 7)):
                bits[slot >> 3] = byte | bit
                entries += 1
        self.entries = entries

    def may_contain(self, ref: int) -> bool:
        """Whether a reference may have been added. False is certain."""
        slot = ref >> self._shift
        return bool(self._bits[slot >> 3] >> (slot & 7) & 1)

    def positions(self, refs: Sequence[int]) -> Sequence[int]:
        """Where in the list the references are that may have been added.

        The bytes come from memory that no cache holds. One call reads them all, so that the processor waits for several
        at once; a loop that also looks at each takes half as long again.
        """
        shift = self._shift
        found = itemgetter(0, 0, *[ref >> shift + 3 for ref in refs])(self._bits)[2:]  # a tuple only of two and more
        listed = zip(range(len(refs)), refs, found, strict=True)
        return [at for at, ref, byte in listed if byte and byte >> (ref >> shift & 7) & 1]
