"""One address for the replicas of a service, as a Kubernetes Service is: each connection goes to one that is ready.

It knows connections, not requests. A replica that is not ready gets no new ones, and keeps those that it has.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from stack import ports
from stack.services import Service
from support.streams import pump

PROBE_SECONDS = 0.1
"""Shorter than ``WITHDRAW_SECONDS``, as docs/operations/containers.md demands of a load balancer."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class VirtualAddress:
    """Passes bytes between clients and replicas."""

    def __init__(self, replicas: Sequence[Service]) -> None:
        self._ready = dict.fromkeys(replicas, True)

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        """Serve on a port until the block ends."""
        server = await asyncio.start_server(self._connected, ports.HOST, port)
        async with aiohttp.ClientSession() as http:
            probes = [asyncio.create_task(self._probe(http, replica)) for replica in self._ready]
            yield
            for probe in probes:
                probe.cancel()
            await asyncio.gather(*probes, return_exceptions=True)
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replica = await self._connect()
        if replica is not None:
            await asyncio.gather(pump(reader, replica[1]), pump(replica[0], writer))
            replica[1].close()
        writer.close()

    async def _connect(self) -> Streams | None:
        ready = [replica for replica, is_ready in self._ready.items() if is_ready]
        for replica in random.sample(ready, len(ready)):
            try:
                return await asyncio.open_connection(ports.HOST, replica.port)
            except OSError:  # nothing was sent to it
                continue
        return None

    async def _probe(self, http: aiohttp.ClientSession, replica: Service) -> None:
        while True:
            try:
                async with http.get(f"{replica.monitoring_url}/readyz", headers={"Connection": "close"}) as response:
                    self._ready[replica] = response.status == 200
            except aiohttp.ClientError:
                self._ready[replica] = False
            await asyncio.sleep(PROBE_SECONDS)
