"""One client of Redis for each process, with a short deadline and no retries: the callers of a limit cannot wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
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

from shared.process.environment.server_urls import hosts_of
from shared.process.host_names import HostNames
from shared.process.pools import Slots, showing_slots
from shared.process.startup import wait_for_server
from shared.redis.bounded import BoundedCluster, BoundedRedis
from shared.redis.connections import one_server_pool
from shared.tls import clearest

CALL_SECONDS = 0.15
"""With Sentinels and a Cluster, the limit of connecting and of each command: a call has time to go elsewhere."""

MAX_NODE_CONNECTIONS = 256
"""Of a pool of redis-py, which raises an error at its limit. A client has fewer slots, so it is never reached."""

AnyRedis: TypeAlias = Redis | RedisCluster
Check: TypeAlias = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Opened:
    """A client, not connected yet, what raises until it can be used, and how its pool is shown in the metrics."""

    client: AnyRedis
    check: Check
    showing: AbstractContextManager[None]


_STARTING = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)  # RuntimeError of uvloop: a reset


@asynccontextmanager
async def client(url: str, *, connections: int = 32) -> AsyncIterator[AnyRedis]:
    """Open a client as soon as the server can be reached. The scheme of ``url`` says what it leads to.

    ``connections``: how many calls it makes at once; more of them wait.
    Retries are off: by default redis-py waits a minute for a silent server, and repeats a script whose answer was lost.
    """
    open_kind = _KINDS.get(urlsplit(url).scheme.partition("+")[2], _one_server)
    async with open_kind(url, connections) as opened:
        await wait_for_server("Redis", "REDIS_URL", url, opened.check, on=_STARTING)
        with opened.showing:
            yield opened.client


@asynccontextmanager
async def _one_server(url: str, connections: int) -> AsyncIterator[Opened]:
    names = HostNames()
    pool = one_server_pool(url, names, connections)
    client = Redis(connection_pool=pool)
    try:
        yield Opened(client, partial(_ping, client), pool.shown())
    finally:
        await client.aclose()
        await pool.disconnect()
        await names.close()


@asynccontextmanager
async def _watched_by_sentinels(url: str, connections: int) -> AsyncIterator[Opened]:
    """The server that the Sentinels call the master. They are asked again for every new connection."""
    service, _, database = urlsplit(url).path.strip("/").partition("/")
    nodes, options = _nodes_and_options(url)
    sentinel = _sentinel(nodes, options)
    client: BoundedRedis = sentinel.master_for(
        service, redis_class=BoundedRedis, db=int(database or 0), max_connections=MAX_NODE_CONNECTIONS
    )
    client.slots = Slots(connections)
    try:
        yield Opened(client, partial(_find_master, sentinel, client), showing_slots("redis", client.slots))
    finally:
        await client.aclose()
        await sentinel.aclose()


def _sentinel(nodes: list[tuple[str, int]], options: dict[str, Any]) -> Sentinel:
    """The client of the Sentinels, which have a user of their own or none, and the encryption of the servers."""
    user, password = options.pop("sentinel_username", None), options.pop("sentinel_password", None)
    encryption = {name: value for name, value in options.items() if name.startswith("ssl")}
    own = {"username": user, "password": password, **encryption, **_no_waiting()}
    return Sentinel(nodes, sentinel_kwargs=own, **options, **_no_waiting())  # type: ignore[no-untyped-call]


@asynccontextmanager
async def _cluster(url: str, connections: int) -> AsyncIterator[Opened]:
    """The masters of a Cluster. Its nodes are looked up by the names in the URL, so their addresses may all change."""
    nodes, options = _nodes_and_options(url)
    client = BoundedCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in nodes],
        require_full_coverage=False,  # while one master fails over, the others serve their keys
        dynamic_startup_nodes=False,
        max_connections=MAX_NODE_CONNECTIONS,
        **options,
        **_no_waiting(),
    )
    client.slots = Slots(connections)
    try:
        yield Opened(client, partial(_ping, client), showing_slots("redis", client.slots))
    finally:
        await client.aclose()


_KINDS: Mapping[str, Callable[[str, int], AbstractAsyncContextManager[Opened]]] = {
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
