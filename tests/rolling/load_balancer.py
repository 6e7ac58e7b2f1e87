"""What stands before two gateways: it asks each whether it accepts requests, and spreads the requests over those.

It repeats what a proxy may repeat: a request that was not sent, and one that a gateway answers with 408, which says that
it was not read. Everything else that fails has failed.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from support.app import Reply

PROBE_SECONDS = 0.1
"""Shorter than ``WITHDRAW_SECONDS``, as docs/operations/containers.md demands of a load balancer."""
MAX_SENDS = 4


class LoadBalancer:
    """A load balancer with a client's interface."""

    def __init__(self, http: aiohttp.ClientSession, gateways: Sequence[str]) -> None:
        self._http = http
        self._accepting = dict.fromkeys(gateways, True)
        self._turns = itertools.count()

    @classmethod
    @asynccontextmanager
    async def open(cls, gateways: Sequence[str]) -> AsyncIterator["LoadBalancer"]:
        """A load balancer before these gateways, until the block ends."""
        connector = aiohttp.TCPConnector(limit=100, keepalive_timeout=5)  # the gateway closes after 15 s
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as http:
            balancer = cls(http, gateways)
            probes = [asyncio.create_task(balancer._probe(gateway)) for gateway in gateways]
            yield balancer
            for probe in probes:
                probe.cancel()
            await asyncio.gather(*probes, return_exceptions=True)

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        """Send a request to a gateway. Raises ``aiohttp.ClientError`` if it fails on its way."""
        for _ in range(MAX_SENDS - 1):
            try:
                reply = await self._send(method, path, options)
            except aiohttp.ClientConnectorError:  # nothing was sent
                continue
            if reply.status != 408:
                return reply
        return await self._send(method, path, options)

    async def _send(self, method: str, path: str, options: dict[str, Any]) -> Reply:
        async with self._http.request(method, self._choose() + path, **options) as response:
            body = await response.json() if "json" in response.content_type else await response.text()
            return Reply(response.status, response.headers, body)

    def _choose(self) -> str:
        accepting = [gateway for gateway, is_accepting in self._accepting.items() if is_accepting]
        candidates = accepting or list(self._accepting)
        return candidates[next(self._turns) % len(candidates)]

    async def _probe(self, gateway: str) -> None:
        """Ask a gateway again and again, on a connection of its own each time, as load balancers do."""
        while True:
            try:
                async with self._http.get(f"{gateway}/livez", headers={"Connection": "close"}) as response:
                    self._accepting[gateway] = response.status == 200
            except aiohttp.ClientError:
                self._accepting[gateway] = False
            await asyncio.sleep(PROBE_SECONDS)
