"""The budget of new numbers, on a real Redis server."""

import asyncio
import random
import secrets
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from support.patience import until_accepted

from contacts_service.budget import UNUSED_SECONDS, Budget
from shared.errors import ErrorCode, ServiceError
from shared.redis import Script, client

TOLERANCE = 0.02
"""HyperLogLog estimates with a standard error of 0.8 %."""


def script(redis: Redis) -> Script:
    return Script(redis, "contacts_service", "lua/budget.lua")


@pytest.fixture(scope="module")
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with client(redis_url) as opened:
        yield opened


@pytest.fixture
async def user_id(redis: Redis) -> AsyncIterator[int]:
    identity = secrets.randbelow(2**53)
    yield identity
    await redis.delete(*(f"{{contacts:{identity}}}:{part}" for part in ("seen", "since", "trial")))


@pytest.fixture
def budget(redis: Redis) -> Budget:
    return Budget(script(redis), numbers=5_000, per_hour=20)


@pytest.fixture
def small(redis: Redis) -> Budget:
    return Budget(script(redis), numbers=10, per_hour=2)


def refs(count: int, seed: int = 1) -> list[int]:
    drawn = array("q", random.Random(seed).randbytes(8 * count))
    return drawn.tolist()


async def age(redis: Redis, user_id: int, seconds: int) -> None:
    """Move the first use into the past."""
    await redis.set(f"{{contacts:{user_id}}}:since", int(time.time()) - seconds)


async def test_all_keys_of_a_user_share_a_hash_tag_as_redis_cluster_requires(
    budget: Budget, redis: Redis, user_id: int
) -> None:
    await budget.charge(user_id, refs(30))

    keys = [key.decode() async for key in redis.scan_iter(match=f"*{user_id}*")]
    assert len(keys) >= 2
    assert {key[: key.index("}") + 1] for key in keys} == {f"{{contacts:{user_id}}}"}


async def test_small_address_books_are_counted_exactly(budget: Budget, user_id: int) -> None:
    charge = await budget.charge(user_id, refs(30))

    assert (charge.charged, charge.left) == (30, 4_970)


@pytest.mark.parametrize("count", [100, 1_000, 1_001, 2_000])
async def test_large_address_books_are_counted_within_tolerance(budget: Budget, user_id: int, count: int) -> None:
    charge = await budget.charge(user_id, refs(count))

    assert charge.charged == pytest.approx(count, rel=TOLERANCE)
    assert charge.charged + charge.left == 5_000


async def test_repeats_are_free(budget: Budget, user_id: int) -> None:
    first = await budget.charge(user_id, refs(2_000))
    again = await budget.charge(user_id, refs(2_000))
    half = await budget.charge(user_id, refs(2_000)[::2])

    assert (again.charged, half.charged) == (0, 0)
    assert first.left == again.left == half.left


async def test_only_new_numbers_are_charged(budget: Budget, user_id: int) -> None:
    await budget.charge(user_id, refs(1_000))
    grown = await budget.charge(user_id, refs(1_000) + refs(50, seed=2))

    assert grown.charged == pytest.approx(50, abs=1_050 * TOLERANCE)


async def test_an_empty_address_book_is_free(budget: Budget, user_id: int) -> None:
    charge = await budget.charge(user_id, refs(0))

    assert (charge.charged, charge.left) == (0, 5_000)


async def test_a_call_beyond_the_budget_is_refused_and_not_charged(small: Budget, user_id: int) -> None:
    await small.charge(user_id, refs(8))

    with pytest.raises(ServiceError) as refusal:
        await small.charge(user_id, refs(3, seed=2))

    assert refusal.value.code is ErrorCode.CONTACT_BUDGET
    assert refusal.value.retry_after == pytest.approx(1_800, abs=2)
    assert (await small.charge(user_id, refs(2, seed=3))).left == 0


async def test_repeats_are_free_when_the_budget_is_used_up(small: Budget, user_id: int) -> None:
    await small.charge(user_id, refs(10))

    assert (await small.charge(user_id, refs(10))).charged == 0
    with pytest.raises(ServiceError):
        await small.charge(user_id, refs(1, seed=2))


async def test_the_budget_grows_with_each_hour_since_the_first_use(small: Budget, redis: Redis, user_id: int) -> None:
    await small.charge(user_id, refs(10))
    await age(redis, user_id, 3 * 3_600)

    assert (await small.charge(user_id, refs(6, seed=2))).left == 0
    with pytest.raises(ServiceError):
        await small.charge(user_id, refs(1, seed=3))


async def test_the_same_call_is_accepted_after_retry_after(small: Budget, redis: Redis, user_id: int) -> None:
    with pytest.raises(ServiceError) as refusal:
        await small.charge(user_id, refs(15))
    assert refusal.value.retry_after is not None

    await age(redis, user_id, refusal.value.retry_after - 10)
    with pytest.raises(ServiceError):
        await small.charge(user_id, refs(15))
    await age(redis, user_id, refusal.value.retry_after)
    assert (await small.charge(user_id, refs(15))).charged == 15


async def test_simultaneous_calls_never_exceed_the_budget(budget: Budget, user_id: int) -> None:
    books = [refs(1_000, seed=seed) for seed in range(12)]
    outcomes = await asyncio.gather(
        *(until_accepted(partial(budget.charge, user_id, book)) for book in books), return_exceptions=True
    )

    accepted = sum(not isinstance(outcome, BaseException) for outcome in outcomes)
    refused = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert accepted in (4, 5)
    assert accepted + len(refused) == 12
    assert {refusal.code for refusal in refused} == {ErrorCode.CONTACT_BUDGET}


async def test_the_budget_holds_within_tolerance_over_many_small_calls(budget: Budget, user_id: int) -> None:
    accepted = 0
    for seed in range(60):
        try:
            await until_accepted(partial(budget.charge, user_id, refs(100, seed=seed)))
        except ServiceError:
            break
        accepted += 100

    assert accepted == pytest.approx(5_000, rel=TOLERANCE)


async def test_each_user_has_their_own_budget(small: Budget, redis: Redis, user_id: int) -> None:
    await small.charge(user_id, refs(10))
    neighbour = user_id + 1

    assert (await small.charge(neighbour, refs(10))).left == 0
    await redis.delete(f"{{contacts:{neighbour}}}:seen", f"{{contacts:{neighbour}}}:since")


async def test_all_keys_expire_and_the_trial_copy_is_deleted(small: Budget, redis: Redis, user_id: int) -> None:
    await small.charge(user_id, refs(10))
    with pytest.raises(ServiceError):
        await small.charge(user_id, refs(1, seed=2))

    keys = sorted(key.decode() for key in await redis.keys(f"{{contacts:{user_id}}}:*"))
    assert keys == [f"{{contacts:{user_id}}}:seen", f"{{contacts:{user_id}}}:since"]
    for key in keys:
        assert 0 < await redis.ttl(key) <= UNUSED_SECONDS


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """A port that accepts connections and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_calls_are_refused_without_redis(user_id: int) -> None:
    async with silent_server() as port:
        for url in (f"redis://127.0.0.1:{port}", "redis://127.0.0.1:1"):
            unavailable = Redis.from_url(
                url, socket_timeout=0.15, socket_connect_timeout=0.15, retry=Retry(NoBackoff(), 0)
            )
            with pytest.raises(ServiceError) as refusal:
                await Budget(script(unavailable), numbers=10, per_hour=2).charge(user_id, refs(1))
            await unavailable.aclose()
            assert refusal.value.code is ErrorCode.UNAVAILABLE
