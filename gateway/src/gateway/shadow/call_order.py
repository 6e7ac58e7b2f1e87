"""Keeps the order of calls that have something in common: a number, a token, an account, a login name."""

import asyncio
from collections.abc import Collection


class CallOrder:
    """A call waits for the calls before it that share a key with it. Keys are kept only while their calls run."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Future[None]] = {}

    def next_place(self, keys: Collection[str]) -> "Place":
        """A place behind the calls that have one of the keys."""
        own: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        before = {self._last[key] for key in keys if key in self._last}
        self._last.update(dict.fromkeys(keys, own))
        return Place(self._last, keys, before, own)


class Place:
    """The place of one call."""

    def __init__(
        self,
        last: dict[str, asyncio.Future[None]],
        keys: Collection[str],
        before: Collection[asyncio.Future[None]],
        own: asyncio.Future[None],
    ) -> None:
        self._last = last
        self._keys = keys
        self._before = before
        self._own = own

    async def __aenter__(self) -> None:
        """Wait for the calls before this one."""
        if self._before:
            await asyncio.wait(self._before)

    async def __aexit__(self, *_: object) -> None:
        """Let the calls behind this one go."""
        self._own.set_result(None)
        for key in self._keys:
            if self._last.get(key) is self._own:
                del self._last[key]
