"""Redis as a Cluster and behind Sentinels: scripts run on masters alone, and go on after a failover."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import REGISTRY
from redis.exceptions import ReadOnlyError
from stack import keys
from stack.system import Stack
from support.servers.redis_nodes import RedisCluster, WatchedRedis, follows, is_copied
from support.servers.server_group import until

from shared import redis
from shared.errors import ServiceError
from shared.redis import AnyRedis, Script

CHARGE = ("sms_service.callers", "lua/charge.lua")
FAILOVER_SECONDS = 60
PERIOD = 86_400
REPEATS = 1000


@pytest.fixture(scope="module")
def passwords(servers: Stack) -> dict[str, str]:
    return keys.load_or_create(servers.folder.path / "secrets.env")


@pytest.fixture(scope="module")
def cluster(servers: Stack, passwords: dict[str, str]) -> Iterator[RedisCluster]:
    nodes = RedisCluster(servers.folder, passwords)
    nodes.start()
    yield nodes
    nodes.close()


@pytest.fixture(scope="module")
def watched(servers: Stack, passwords: dict[str, str]) -> Iterator[WatchedRedis]:
    nodes = WatchedRedis(servers.folder, passwords)
    nodes.start()
    yield nodes
    nodes.close()


@pytest.fixture(params=["cluster", "watched"])
def nodes(request: pytest.FixtureRequest) -> RedisCluster | WatchedRedis:
    found: RedisCluster | WatchedRedis = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def client(nodes: RedisCluster | WatchedRedis) -> AsyncIterator[AnyRedis]:
    """A client with the role of sms-service."""
    url = nodes.url_as("sms-service")
    assert url is not None
    async with redis.client(url) as opened:
        yield opened


def limit_keys() -> list[str]:
    """Two keys of one place, as the limits on callers have them."""
    place = secrets.token_hex(8)
    return [f"{{callers:{place}}}:one:x", f"{{callers:{place}}}:two:y"]


def shown(name: str) -> float | None:
    """A gauge of the pool of Redis."""
    return REGISTRY.get_sample_value(f"haoma_pool_{name}", {"pool": "redis"})


async def until_charged(script: Script, key: str, allowed: int = 1) -> list[int]:
    """Charge a limit, and repeat it while Redis is unavailable. A call without an answer may have been charged too."""
    async with asyncio.timeout(FAILOVER_SECONDS):
        while True:
            try:
                return list(await script([key], [allowed, PERIOD, 1]))
            except ServiceError:
                await asyncio.sleep(0.05)


async def test_scripts_run_on_the_node_that_has_their_keys(client: AnyRedis) -> None:
    charge = Script(client, *CHARGE)
    places = [limit_keys() for _ in range(20)]
    assert [await charge(place, [1, PERIOD, 1, PERIOD, 2]) for place in places] == [[1, 0]] * 20
    refused = [await charge(place, [1, PERIOD, 1, PERIOD, 2]) for place in places]
    assert all(lane == 0 and seconds > 0 for lane, seconds in refused)
    assert await client.ping()


async def test_more_calls_than_connections_wait_for_each_other(client: AnyRedis) -> None:
    charge = Script(client, *CHARGE)
    await charge(limit_keys()[:1], [1, PERIOD, 1])
    calls = asyncio.gather(*(until_charged(charge, limit_keys()[0], REPEATS) for _ in range(300)))
    while not shown("waiting"):
        await asyncio.sleep(0)
    assert shown("in_use") == shown("size") == 32
    assert await calls == [[1, 0]] * 300
    assert (shown("in_use"), shown("waiting")) == (0, 0)


async def test_a_replica_runs_no_script_not_even_to_refuse(watched: WatchedRedis) -> None:
    replica = next(node for node in watched.nodes if watched.admin(node).role()[0] == "slave")
    admin = watched.admin(replica)
    for package, name, numkeys in (
        (*CHARGE, 1),
        ("sms_service.callers", "lua/refund.lua", 1),
        ("contacts_service", "lua/budget.lua", 1),
        ("contacts_service", "lua/forget.lua", 1),
    ):
        digest = admin.script_load(Script(None, package, name).text)
        with pytest.raises(ReadOnlyError):
            admin.evalsha(digest, numkeys, "{callers:any}:key", *["0"] * 8)


@pytest.mark.timeout(400)
async def test_after_the_death_of_a_master_its_limits_are_charged_again(
    nodes: RedisCluster | WatchedRedis, client: AnyRedis
) -> None:
    charge = Script(client, *CHARGE)
    names = [limit_keys()[0] for _ in range(30)]
    for name in names:
        await until_charged(charge, name)
    master = next(node for node in nodes.nodes if nodes.admin(node).role()[0] == "master")
    until(lambda: is_copied(nodes.admin(master)))
    master.kill()
    try:
        counted = [await until_charged(charge, name) for name in names]

        assert not any(lane for lane, _ in counted), "the new master has what the old one acknowledged"
        assert await until_charged(charge, limit_keys()[0], REPEATS) == [1, 0]
    finally:
        master.start()
        until(lambda: follows(nodes.admin(master)))
