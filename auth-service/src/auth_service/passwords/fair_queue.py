"""A queue whose keys take turns at every level of a path: first wide networks, then those in them, then accounts.

A key waits for what the others have begun, not for what they have piled up. Turns follow the flow queues of RFC 8290:
a key that comes anew goes before those that had a turn and have more waiting.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

NEW_PER_OLD = 4
"""How many new keys take a turn before one that has more waiting: many new ones must not starve it."""

ItemT = TypeVar("ItemT")
Path = Sequence[Hashable]


class FairQueue(Generic[ItemT]):
    """Items under paths of keys. All paths have the same length. Items of one path leave in the order they came."""

    def __init__(self) -> None:
        self.size = 0
        self._items: deque[ItemT] = deque()
        self._queues: dict[Hashable, FairQueue[ItemT]] = {}
        self._new: deque[Hashable] = deque()
        self._old: deque[Hashable] = deque()
        self._new_turns = 0

    def push(self, path: Path, item: ItemT) -> None:
        """Add an item at the end of its path."""
        self.size += 1
        if not path:
            self._items.append(item)
            return
        queue = self._queues.get(path[0])
        if queue is None:
            queue = self._queues[path[0]] = FairQueue()
            self._new.append(path[0])
        queue.push(path[1:], item)

    def pop(self) -> ItemT:
        """Remove the item whose turn it is. Raises ``IndexError`` on an empty queue."""
        if not self.size:
            raise IndexError("pop from an empty queue")
        self.size -= 1
        return self._items.popleft() if self._items else self._take_turn().pop()

    def discard(self, path: Path, item: ItemT) -> bool:
        """Remove an item from its path. False if it is not there any more."""
        if path:
            queue = self._queues.get(path[0])
            is_removed = queue is not None and queue.discard(path[1:], item)
        elif is_removed := item in self._items:
            self._items.remove(item)
        self.size -= is_removed
        return is_removed

    def pop_newest_of_longest(self) -> ItemT:
        """Remove the newest item of the key with the most items, at each level; of equals, of the latest one."""
        self.size -= 1
        if self._items:
            return self._items.pop()
        return max(reversed(self._queues.values()), key=lambda queue: queue.size).pop_newest_of_longest()

    def _take_turn(self) -> "FairQueue[ItemT]":
        """The queue whose turn it is. A key keeps its place among the old ones for one round after it is empty.

        So a network that has always just one item waiting is new only once.
        """
        self._forget_empty(self._old)
        self._forget_empty(self._new)
        is_turn_of_new = self._new and (not self._old or self._new_turns < NEW_PER_OLD)
        self._new_turns = self._new_turns + 1 if is_turn_of_new else 0
        key = (self._new if is_turn_of_new else self._old).popleft()
        self._old.append(key)
        return self._queues[key]

    def _forget_empty(self, keys: deque[Hashable]) -> None:
        while keys and not self._queues[keys[0]].size:
            del self._queues[keys.popleft()]
