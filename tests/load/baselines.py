"""The baselines of a run: a bare aiohttp response, and argon2id alone."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
from argon2.low_level import Type, hash_secret_raw
from load.operations import CLIENTS, Bench, Job, address_book, must
from load.processes import CpuMeter, cpu_seconds, pin
from load.results import Result
from stack import ports

from shared.phone import E164, PhoneKeys
from shared.postgres import url_of

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


RAW_MATCH = "select phone_ref, user_id, nickname, avatar from directory where phone_ref = any($1::bigint[])"
RAW_CALLS = 300


async def bare_aiohttp(bench: Bench, *, pinned: bool) -> Result:
    """A bare aiohttp JSON response, on the core of our processes."""
    async with bare_server(pinned=pinned) as (url, pid):
        meter = CpuMeter({"bare aiohttp": pid})
        result = await bench.measure("bare aiohttp response", bench.count, CLIENTS, get_json(bench.app.http, url))
        result.cpu = meter.spent()
        return result


@asynccontextmanager
async def bare_server(*, pinned: bool) -> AsyncIterator[tuple[str, int]]:
    """A bare aiohttp server, for as long as the block lasts: its address and its pid."""
    port = ports.free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-W", "ignore", "-c", BARE % port)
    try:
        if pinned:
            pin(process.pid, {0})
        while not ports.responds(port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1."):
            await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/", process.pid
    finally:
        process.terminate()
        await process.wait()


def get_json(http: aiohttp.ClientSession, url: str) -> Job:
    """A job that gets this address."""

    async def get(_: int) -> None:
        async with http.get(url) as response:
            await response.read()

    return get


async def raw_match(bench: Bench, members: Sequence[str], size: int = 1000) -> tuple[Result, Result]:
    """One client's match of an address book, and the same look-up as one prepared statement on the directory."""
    job = bench.match(size, members)
    await job(0)
    matched = await bench.measure(f"match {size:,} numbers, one client", RAW_CALLS, 1, job)
    book, hits = address_book(size, members)
    keys = PhoneKeys(bytes.fromhex(bench.stack.environ["PHONE_KEY"]))
    refs = keys.refs(E164("+86" + number) for number in book)
    connection = await asyncpg.connect(url_of(bench.stack.addresses["POSTGRES_URL"], "contacts"))
    try:
        statement = await connection.prepare(RAW_MATCH)

        async def look_up(_: int) -> None:
            found = len(await statement.fetch(refs))
            must(found == hits, f"{found} of {hits} members found")

        await look_up(0)
        return matched, await bench.measure(f"raw look-up of {size:,} numbers", RAW_CALLS, 1, look_up)
    finally:
        await connection.close()


def argon2_ms() -> float:
    """CPU milliseconds of one argon2id hash with our parameters, in this process alone."""
    meter, rounds = cpu_seconds(os.getpid()), 30
    for _ in range(rounds):
        hash_secret_raw(b"x" * 32, b"0123456789abcdef", 2, 19456, 1, 32, Type.ID)
    return (cpu_seconds(os.getpid()) - meter) * 1000 / rounds
