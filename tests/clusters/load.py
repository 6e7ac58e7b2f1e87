"""Users who register all the time, and limits that are charged: what the system acknowledged is remembered."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from clusters.operations import NotAcknowledgedError, Operations
from support.app import App, Reply, fresh_number

from shared.background import running
from shared.errors import ServiceError
from shared.redis import Script

PASSWORD = "a password of the load"
MESSAGE_SECONDS = 60.0
CHARGE_SECONDS = 0.02
CHARGED_KEYS = 120
ALLOWED, PERIOD = 1000, 3_600_000
"""A limit that refills one charge in an hour: how many were charged can be read from it."""


@dataclass
class Acknowledged:
    """What the system has promised: numbers that get a code, accounts by their id, and charges by their key."""

    codes: dict[str, float] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    charges: Counter[str] = field(default_factory=Counter)


class Load:
    """Registers ``rate`` users a second, and charges a limit fifty times a second."""

    def __init__(self, app: App, script: Script, rate: float) -> None:
        self.acknowledged = Acknowledged()
        self.operations = Operations()
        self.received: set[str] = set()
        self._app = app
        self._script = script
        self._rate = rate
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = itertools.cycle(f"{{callers:check-{number}}}:check" for number in range(CHARGED_KEYS))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start users and charges until the block ends, then let them finish."""
        users = self._every(1 / self._rate, lambda: self._register(fresh_number()))
        charges = self._every(CHARGE_SECONDS, lambda: self._charge(next(self._keys)))
        async with running(users, name="users"), running(charges, name="charges"):
            yield
        await asyncio.gather(*self._tasks)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        """Start ``act`` every so many seconds, whether the earlier ones have finished or not."""
        while True:
            task = asyncio.ensure_future(act())
            self._tasks.add(task)
            task.add_done_callback(self._done)
            await asyncio.sleep(seconds)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Forget a task that did its work. One that raised stays, and raises where all are awaited."""
        if not task.cancelled() and task.exception() is None:
            self._tasks.discard(task)

    async def _register(self, number: str) -> None:
        """One user: each step is an operation, and a step that fails ends the user's attempt."""
        with suppress(NotAcknowledgedError):
            await self._step("code", lambda: self._app.send_code(number))
            self.acknowledged.codes[number] = time.monotonic()
            code = await self._code(number)
            verified = await self._step("check", lambda: self._app.verify(number, code))
            ticket = verified.body["data"]["tmp_token"]
            user = await self._step("register", lambda: self._app.new_user(number, PASSWORD, ticket))
            self.acknowledged.accounts[str(user.body["data"]["userId"])] = number

    async def _step(self, kind: str, call: Callable[[], Awaitable[Reply]]) -> Reply:
        """A call that the system acknowledges. Raises ``NotAcknowledgedError`` for any other answer, and for none."""
        async with self.operations.record(kind):
            try:
                reply = await call()
            except (OSError, aiohttp.ClientError) as error:
                raise NotAcknowledgedError from error
            if reply.status != 200 or reply.body.get("success") != "true":
                raise NotAcknowledgedError(str(reply.status))
            return reply

    async def _code(self, number: str) -> str:
        """The code of a number, whose message arrives now or never. Raises ``NotAcknowledgedError`` after a minute."""
        until = time.monotonic() + MESSAGE_SECONDS
        while time.monotonic() < until:
            try:
                code = await self._app.code(number)
            except AssertionError:  # 404: the long poll ended without a message
                continue
            self.received.add(number)
            self.operations.arrived("message")
            return code
        raise NotAcknowledgedError

    async def _charge(self, key: str) -> None:
        with suppress(ServiceError):  # the operations have it
            async with self.operations.record("charge"):
                lane, _ = await self._script([key], [ALLOWED, PERIOD, 1])
            assert lane, "the load reached the limit that it charges"
            self.acknowledged.charges[key] += 1
