"""Users of the composed system, through its TLS edge, and what became of each of their requests."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from support.app import fresh_number

PASSWORD = "correct horse battery"
MESSAGE = "the message"


@dataclass(frozen=True)
class Exchange:
    """One request: when it began and ended, and the status of its response; 0 without one."""

    path: str
    began: float
    ended: float
    status: int
    code: str

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= 500

    def was_open_during(self, kill: "Kill") -> bool:
        """Whether the kill may have ended this exchange: a message is lost with its worker only."""
        open_then = self.began <= kill.ended and kill.began <= self.ended
        return open_then and (self.path != MESSAGE or kill.service == "sms-worker")


@dataclass(frozen=True)
class Kill:
    """A replica of a service was killed: between these moments."""

    service: str
    began: float
    ended: float


class FailedError(Exception):
    """A request failed, so the user's journey ends here."""


@dataclass
class Users:
    """Users who register, log in and look for their contacts, again and again."""

    http: aiohttp.ClientSession
    edge: str
    inbox: str
    exchanges: list[Exchange] = field(default_factory=list)
    journeys: int = 0

    async def call(self, path: str, token: str = "", **fields: Any) -> dict[str, Any]:
        """POST to the edge. Raises ``FailedError`` if the system does not answer, ``AssertionError`` if it refuses."""
        began, status, body = time.monotonic(), 0, {}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self.http.post(self.edge + path, json=fields, headers=headers) as response:
                status = response.status
                # The edge answers without a body if the connection to a gateway is lost.
                body = await response.json(content_type=None) or {}
        exchange = Exchange(path, began, time.monotonic(), status, str(body.get("code", "")))
        self.exchanges.append(exchange)
        if exchange.failed:
            raise FailedError(path)
        assert status < 300, (path, status, body)
        return body

    async def code(self, number: str) -> str:
        """The code of the message to a number.

        Raises ``FailedError`` if none arrives: a worker that is killed while it sends a message leaves it unsent.
        """
        began, query = time.monotonic(), {"to": f"+86{number}", "wait": "25"}
        async with self.http.get(f"{self.inbox}/inbox/messages/latest", params=query) as response:
            if response.status == 200:
                return str((await response.json())["code"])
        self.exchanges.append(Exchange(MESSAGE, began, time.monotonic(), 0, "not sent"))
        raise FailedError(number)

    async def journey(self) -> str:
        """Register, log in, and look for a contact. Returns the number."""
        number = fresh_number()
        sent = await self.call("/v2/verifications", phone=number, purpose="sign_up")
        checked = await self.call("/v2/verifications/check", challenge=sent["challenge"], code=await self.code(number))
        await self.call("/v2/accounts", ticket=checked["ticket"], password=PASSWORD)
        session = await self.call("/v2/sessions", phone=number, password=PASSWORD)
        await self.call("/v2/contacts/match", session["access_token"], phones=[number, fresh_number()])
        self.journeys += 1
        return number

    async def _repeat(self) -> None:
        while True:
            with contextlib.suppress(FailedError):
                await self.journey()

    @asynccontextmanager
    async def busy(self, users: int) -> AsyncIterator[None]:
        """So many users at once, until the end of the block. Raises what a user did not expect."""
        tasks = [asyncio.create_task(self._repeat()) for _ in range(users)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        unexpected = [each for each in ended if not isinstance(each, asyncio.CancelledError)]
        assert not unexpected, unexpected

    def failures_beside(self, kills: list[Kill]) -> list[Exchange]:
        """The failures of requests that were not open while any replica was killed: from its beginning to its end."""
        failed = [each for each in self.exchanges if each.failed]
        return [each for each in failed if not any(each.was_open_during(kill) for kill in kills)]

    async def more_journeys(self, count: int) -> None:
        """Wait until so many more users have found their contacts."""
        wanted = self.journeys + count
        async with asyncio.timeout(300):
            while self.journeys < wanted:
                await asyncio.sleep(0.1)
