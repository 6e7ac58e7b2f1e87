"""The clients for Sentinels and a Cluster make a bounded number of calls at once; more of them wait."""

import asyncio
import threading

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from support.resp_server import resp_server

from shared.process.pools import Slots
from shared.redis.bounded import BoundedRedis


async def test_a_call_waits_for_a_slot_and_one_that_is_given_up_returns_its_own() -> None:
    answering = threading.Event()
    with resp_server() as server:
        server.before = lambda command: command == b"PING" and answering.wait(20)
        client = BoundedRedis(port=server.port, protocol=2, retry=Retry(NoBackoff(), 0))
        client.slots = Slots(1)
        given_up, waiting = (asyncio.create_task(client.execute_command("PING")) for _ in range(2))
        while not client.slots.waiting:
            await asyncio.sleep(0)
        assert client.slots.in_use == 1

        given_up.cancel()
        await asyncio.wait([given_up])
        answering.set()

        assert await waiting
        assert (client.slots.in_use, client.slots.waiting) == (0, 0)
        await client.aclose()
