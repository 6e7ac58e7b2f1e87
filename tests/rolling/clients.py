"""Clients that never stop, and count what fails: no call is repeated for them, except by the load balancer."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from rolling.load_balancer import LoadBalancer
from support.app import App, fresh_number

PASSWORD = "correct horse"


class CallFailedError(Exception):
    """A call that failed, or was refused. It is counted already."""


@dataclass
class Clients:
    """Calls of every kind through the load balancer, and the codes from the inbox.

    After each call a client rests for ``pause_seconds``, which leaves processor time to others on the machine.
    """

    balancer: LoadBalancer
    inbox: App
    pause_seconds: float = 0.0
    served: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str, token: str = "", **fields: Any) -> Any:
        """The body of a response. Raises ``CallFailedError`` for any refusal: none of these calls deserves one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        kind = f"{method} {path}"
        try:
            reply = await self.balancer.call(method, path, json=fields or None, headers=headers)
        except aiohttp.ClientError as error:
            raise self._failure(kind, type(error).__name__) from error
        if reply.status >= 400:
            raise self._failure(kind, f"{reply.status} {reply.body}")
        self.served[kind] += 1
        await asyncio.sleep(self.pause_seconds)
        return reply.body

    async def register(self) -> tuple[str, dict[str, Any]]:
        """A new number and the tokens of its user."""
        number = fresh_number()
        sent = await self.call("POST", "/v2/verifications", phone=number, purpose="sign_up")
        try:
            code = await self.inbox.code(number)
        except AssertionError as error:
            raise self._failure("message", "no code arrived within 25 s") from error
        self.served["message"] += 1
        checked = await self.call("POST", "/v2/verifications/check", challenge=sent["challenge"], code=code)
        user = await self.call("POST", "/v2/accounts", ticket=checked["ticket"], password=PASSWORD)
        return number, user["tokens"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep calling until the block ends."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for keep in (self._keep_registering, self._keep_session, self._keep_session, self._keep_logging_in):
                group.create_task(keep(stop))
            yield
            stop.set()

    async def _registered(self) -> tuple[str, dict[str, Any]]:
        """A number and the tokens of its user. A failure on the way is counted, and the next number tried."""
        while True:
            with contextlib.suppress(CallFailedError):
                return await self.register()

    async def _keep_registering(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._registered()

    async def _keep_session(self, stop: asyncio.Event) -> None:
        """A user who looks at their account, finds friends, and refreshes."""
        number, tokens = await self._registered()
        while not stop.is_set():
            try:
                await self.call("GET", "/v2/me", tokens["access_token"])
                await self.call("POST", "/v2/contacts/match", tokens["access_token"], phones=[number])
                tokens |= await self.call("POST", "/v2/sessions/refresh", refresh_token=tokens["refresh_token"])
            except CallFailedError:
                continue

    async def _keep_logging_in(self, stop: asyncio.Event) -> None:
        number, _ = await self._registered()
        while not stop.is_set():
            try:
                await self.call("POST", "/v2/sessions", phone=number, password=PASSWORD)
            except CallFailedError:
                continue

    def _failure(self, kind: str, reason: str) -> CallFailedError:
        self.failed.append(f"{kind}: {reason}")
        return CallFailedError(reason)
