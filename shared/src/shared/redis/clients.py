"""One client of Redis for each process, with a short deadline and no retries: the callers of a limit cannot wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from shared.process.host_names import HostNames
from shared.process.server_urls import hosts_of
from shared.process.startup import wait_for_server
from shared.process.tls import clearest
from shared.redis.connections import one_server_pool

CALL_SECONDS = 0.15
"""The limit of connecting, and of each call."""

MAX_CONNECTIONS = 32
MAX_NODE_CONNECTIONS = 256
"""Of a pool that cannot wait for a free connection. Scripts bound their calls, so it is never reached."""

AnyRedis: TypeAlias = Redis | RedisCluster
Check: TypeAlias = Callable[[], Awaitable[object]]
Opened: TypeAlias = AbstractAsyncContextManager[tuple[AnyRedis, Check]]

_STARTING = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)  # RuntimeError of uvloop: a reset


@asynccontextmanager
async def client(url: str) -> AsyncIterator[AnyRedis]:
    """Open a client as soon as the server can be reached. The scheme of ``url`` says what it leads to.

    Retries are off: by default redis-py waits a minute for a silent server, and repeats a script whose answer was lost.
    """
    async with _opened(url) as (opened, check):
        await wait_for_server("Redis", "REDIS_URL", url, check, on=_STARTING)
        yield opened


def _opened(url: str) -> Opened:
    """A client, not connected yet, and what raises until it can be used."""
    return _KINDS.get(urlsplit(url).scheme.partition("+")[2], _one_server)(url)


@asynccontextmanager
async def _one_server(url: str) -> AsyncIterator[tuple[AnyRedis, Check]]:
    names = HostNames()
    pool = one_server_pool(url, names, MAX_CONNECTIONS)
    opened = Redis(connection_pool=pool)
    try:
        yield opened, partial(_ping, opened)
    finally:
        await opened.aclose()
        await pool.disconnect()
        await names.close()


@asynccontextmanager
async def _watched_by_sentinels(url: str) -> AsyncIterator[tuple[AnyRedis, Check]]:
    """The server that the Sentinels call the master. They are asked again for every new connection."""
    service, _, database = urlsplit(url).path.strip("/").partition("/")
    nodes, options = _nodes_and_options(url)
    user, password = options.pop("sentinel_username", None), options.pop("sentinel_password", None)
    encryption = {name: value for name, value in options.items() if name.startswith("ssl")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        nodes,
        sentinel_kwargs={"username": user, "password": password, **encryption, **_no_waiting()},
        **options,
        **_no_waiting(),
    )
    opened: Redis = sentinel.master_for(service, db=int(database or 0), max_connections=MAX_NODE_CONNECTIONS)
    try:
        yield opened, partial(_find_master, sentinel, opened)
    finally:
        await opened.aclose()
        await sentinel.aclose()


@asynccontextmanager
async def _cluster(url: str) -> AsyncIterator[tuple[AnyRedis, Check]]:
    """The masters of a Cluster. Its nodes are looked up by the names in the URL, so their addresses may all change."""
    nodes, options = _nodes_and_options(url)
    opened = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in nodes],
        require_full_coverage=False,  # while one master fails over, the others serve their keys
        dynamic_startup_nodes=False,
        max_connections=MAX_NODE_CONNECTIONS,
        **options,
        **_no_waiting(),
    )
    try:
        yield opened, partial(_ping, opened)
    finally:
        await opened.aclose()


_KINDS: Mapping[str, Callable[[str], Opened]] = {
    "sentinel": _watched_by_sentinels,
    "cluster": _cluster,
}


async def _ping(client: AnyRedis) -> None:
    await cast("Awaitable[Any]", client.ping())


async def _find_master(sentinel: Sentinel, client: AnyRedis) -> None:
    """Raises the clearest error of the Sentinels if none of them answers, else what the master raises.

    By itself redis-py says that there is no master, without the reason.
    """
    questions = (each.sentinel_masters() for each in sentinel.sentinels)
    answers = await asyncio.gather(*questions, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    if len(errors) == len(answers):
        raise clearest(errors)
    await _ping(client)


def _nodes_and_options(url: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """The hosts of a URL with their ports, and the options of a connection to any of them."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    default_port = 26379 if kind == "sentinel" else 6379
    hosts = [urlsplit(each) for each in hosts_of(url)]
    options: dict[str, Any] = dict(
        parse_url(urlunsplit(parts._replace(scheme=scheme, netloc=hosts[0].netloc, path="")))
    )
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    options = {name: value for name, value in options.items() if name not in {"host", "port", "db"}}
    return [(str(host.hostname), host.port or default_port) for host in hosts], options


def _no_waiting() -> dict[str, Any]:
    return {
        "socket_timeout": CALL_SECONDS,
        "socket_connect_timeout": CALL_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
