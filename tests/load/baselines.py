"""The baselines of a run: a bare aiohttp response, and argon2id alone."""

import asyncio
import os
import sys

from argon2.low_level import Type, hash_secret_raw
from load.operations import CLIENTS, Bench
from load.processes import CpuMeter, cpu_seconds, pin
from load.results import Result
from stack import ports

BARE = """
import uvloop
from aiohttp import web
async def answer(_):
    return web.json_response({"success": "true"})
app = web.Application()
app.router.add_get("/", answer)
uvloop.install()
web.run_app(app, host="127.0.0.1", port=%d, access_log=None, print=None)
"""


async def bare_aiohttp(bench: Bench, *, pinned: bool) -> Result:
    """A bare aiohttp JSON response, on the core of our processes."""
    port = ports.free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-W", "ignore", "-c", BARE % port)
    try:
        if pinned:
            pin(process.pid, {0})
        while not ports.responds(port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1."):
            await asyncio.sleep(0.05)

        async def request(_: int) -> None:
            async with bench.app.http.get(f"http://127.0.0.1:{port}/") as response:
                await response.read()

        meter = CpuMeter({"bare aiohttp": process.pid})
        result = await bench.measure("bare aiohttp response", bench.count, CLIENTS, request)
        result.cpu = meter.spent()
        return result
    finally:
        process.terminate()
        await process.wait()


def argon2_ms() -> float:
    """CPU milliseconds of one argon2id hash with our parameters, in this process alone."""
    meter, rounds = cpu_seconds(os.getpid()), 30
    for _ in range(rounds):
        hash_secret_raw(b"x" * 32, b"0123456789abcdef", 2, 19456, 1, 32, Type.ID)
    return (cpu_seconds(os.getpid()) - meter) * 1000 / rounds
