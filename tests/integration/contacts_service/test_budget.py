"""The budget of look-ups, on a real Redis server."""

import asyncio
import random
import secrets
from array import array
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from support.patience import until_accepted

from contacts_service.budget import MARGIN, MAX_FREE_SHARE, UNUSED_SECONDS, Budget, fingerprint_bits
from contacts_service.fingerprints import Fingerprints
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.contacts import MAX_NUMBERS
from shared.redis import client

SECRET = bytes(range(32))
UNSEEN = 10_000
HOUR, DAY = 3_600, 86_400


@pytest.fixture(scope="module")
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with client(redis_url) as opened:
        yield opened


@pytest.fixture
async def own_ref(redis: Redis) -> AsyncIterator[int]:
    """The reference of a user's number."""
    ref = secrets.randbelow(2**63)
    yield ref
    await redis.delete(key_of(ref))


@pytest.fixture
def budget(redis: Redis) -> Budget:
    return Budget(redis, SECRET, numbers=5_000, per_hour=20)


@pytest.fixture
def small(redis: Redis) -> Budget:
    return Budget(redis, SECRET, numbers=10, per_hour=2)


def key_of(own_ref: int) -> str:
    return f"contacts:{Fingerprints(SECRET, 26).owner(own_ref)}"


def refs(count: int, seed: int = 1) -> list[int]:
    drawn = array("q", random.Random(seed).randbytes(8 * count))
    return drawn.tolist()


async def charge(budget: Budget, own_ref: int, book: Collection[int]) -> tuple[int, int]:
    """The numbers charged and left, for a book of any size."""
    listed, charged, left = list(book), 0, 0
    for start in range(0, max(1, len(listed)), MAX_NUMBERS):
        page = await until_accepted(partial(budget.charge, own_ref, listed[start : start + MAX_NUMBERS]))
        charged, left = charged + page.charged, page.left
    return charged, left


async def answered(budget: Budget, own_ref: int, numbers: Collection[int]) -> set[int]:
    """Ask for each number in a call of its own, 16 at once. Returns those that are answered."""
    left, found = iter(numbers), set()

    async def ask() -> None:
        for number in left:
            try:
                await until_accepted(partial(budget.charge, own_ref, [number]))
            except ServiceError as refusal:
                assert refusal.code is ErrorCode.CONTACT_BUDGET
            else:
                found.add(number)

    await asyncio.gather(*(ask() for _ in range(16)))
    return found


async def age(redis: Redis, own_ref: int, seconds: float) -> None:
    """Move everything that the budget remembers into the past."""
    for field in ("at", "full_at"):
        moment = await redis.hget(key_of(own_ref), field)
        if moment:
            await redis.hset(key_of(own_ref), field, str(float(moment) - seconds))


@pytest.mark.parametrize("count", [0, 1, 30, 255, 1_000, 2_000])
async def test_each_new_number_is_charged(budget: Budget, own_ref: int, count: int) -> None:
    charged, left = await charge(budget, own_ref, refs(count))

    # Two numbers may share a fingerprint: of 2,000, one pair in eight cases.
    assert charged == pytest.approx(count, abs=2)
    assert charged + left == 5_000


async def test_repeats_are_free_in_any_order(budget: Budget, own_ref: int) -> None:
    _, first = await charge(budget, own_ref, refs(2_000))
    again = await charge(budget, own_ref, refs(2_000)[::-1])
    half = await charge(budget, own_ref, refs(2_000)[::2])

    assert again == half == (0, first)


async def test_only_new_numbers_are_charged(budget: Budget, own_ref: int) -> None:
    await charge(budget, own_ref, refs(1_000))
    charged, _ = await charge(budget, own_ref, refs(1_000) + refs(50, seed=2))

    assert charged == pytest.approx(50, abs=1)


async def test_a_number_that_is_listed_twice_is_charged_once(small: Budget, own_ref: int) -> None:
    assert (await charge(small, own_ref, refs(3) + refs(3)))[0] == 3


async def test_a_refused_call_costs_one_number(small: Budget, own_ref: int) -> None:
    await small.charge(own_ref, refs(8))

    with pytest.raises(ServiceError) as refusal:
        await small.charge(own_ref, refs(3, seed=2))

    assert refusal.value.code is ErrorCode.CONTACT_BUDGET
    assert refusal.value.retry_after == pytest.approx(2 * HOUR / 2, abs=2)
    assert (await small.charge(own_ref, refs(1, seed=2))).left == 0


async def test_refused_calls_cost_no_more_than_what_is_left(small: Budget, redis: Redis, own_ref: int) -> None:
    await small.charge(own_ref, refs(9))
    for _ in range(5):
        with pytest.raises(ServiceError):
            await small.charge(own_ref, refs(2, seed=2))

    await age(redis, own_ref, HOUR)
    assert (await small.charge(own_ref, refs(2, seed=2))).left == 0


async def test_the_numbers_of_a_refused_call_stay_unknown(small: Budget, own_ref: int) -> None:
    await small.charge(own_ref, refs(10))
    for _ in range(2):
        with pytest.raises(ServiceError):
            await small.charge(own_ref, [*refs(10), *refs(1, seed=2)])

    with pytest.raises(ServiceError):
        await small.charge(own_ref, refs(1, seed=2))


async def test_repeats_are_free_when_the_budget_is_used_up(small: Budget, own_ref: int) -> None:
    await small.charge(own_ref, refs(10))

    assert (await small.charge(own_ref, refs(10))).charged == 0


async def spend(budget: Budget, redis: Redis, own_ref: int, *, seed: int = 1) -> None:
    """Spend the whole budget several times over, until about as much is remembered as ever is."""
    for part, (count, hours_before) in enumerate([(5_000, 0), (5_000, 250), (2_000, 100)]):
        await age(redis, own_ref, hours_before * HOUR)
        await charge(budget, own_ref, refs(count, seed=100 * seed + part))
    await answered(budget, own_ref, refs(100, seed=100 * seed + 99))  # a few are left: some were taken for known


async def test_after_the_budget_no_more_than_one_in_a_thousand_unseen_numbers_is_answered(
    budget: Budget, redis: Redis, own_ref: int
) -> None:
    await spend(budget, redis, own_ref)

    found = await answered(budget, own_ref, refs(UNSEEN, seed=9))

    assert len(found) <= UNSEEN / 1_000


async def test_six_accounts_cover_no_more_than_a_hundredth_of_a_list_beyond_their_budgets(
    budget: Budget, redis: Redis
) -> None:
    accounts, listed = [secrets.randbelow(2**63) for _ in range(6)], refs(1_500, seed=9)
    covered: set[int] = set()
    for seed, account in enumerate(accounts, start=2):
        await spend(budget, redis, account, seed=seed)
        covered |= await answered(budget, account, listed)
        await redis.delete(key_of(account))

    assert len(covered) <= len(listed) / 100


async def test_the_budget_grows_with_each_hour(small: Budget, redis: Redis, own_ref: int) -> None:
    await small.charge(own_ref, refs(10))
    await age(redis, own_ref, 3 * HOUR)

    assert (await small.charge(own_ref, refs(6, seed=2))).left == 0
    with pytest.raises(ServiceError):
        await small.charge(own_ref, refs(1, seed=3))


async def test_idle_time_saves_up_no_more_than_the_budget(budget: Budget, redis: Redis, own_ref: int) -> None:
    await budget.charge(own_ref, refs(1_000))
    await age(redis, own_ref, 365 * DAY)

    assert (await budget.charge(own_ref, refs(1, seed=2))).left == 4_999


async def test_the_same_call_is_accepted_after_retry_after(small: Budget, redis: Redis, own_ref: int) -> None:
    with pytest.raises(ServiceError) as refusal:
        await small.charge(own_ref, refs(15))
    assert refusal.value.retry_after is not None

    await age(redis, own_ref, refusal.value.retry_after)
    assert (await small.charge(own_ref, refs(15))).charged == 15


async def test_a_higher_setting_holds_at_once(small: Budget, redis: Redis, own_ref: int) -> None:
    await small.charge(own_ref, refs(10))

    assert (await Budget(redis, SECRET, numbers=12, per_hour=2).charge(own_ref, refs(2, seed=2))).left == 0


async def test_simultaneous_calls_never_exceed_the_budget(budget: Budget, own_ref: int) -> None:
    books = [refs(1_000, seed=seed) for seed in range(12)]
    outcomes = await asyncio.gather(
        *(until_accepted(partial(budget.charge, own_ref, book)) for book in books), return_exceptions=True
    )

    accepted = sum(not isinstance(outcome, BaseException) for outcome in outcomes)
    refused = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert accepted == 5
    assert len(refused) == 7
    assert {refusal.code for refusal in refused} == {ErrorCode.CONTACT_BUDGET}


async def test_many_small_calls_get_exactly_the_budget(budget: Budget, own_ref: int) -> None:
    accepted = 0
    for seed in range(60):
        try:
            await until_accepted(partial(budget.charge, own_ref, refs(100, seed=seed)))
        except ServiceError:
            break
        accepted += 100

    assert accepted == pytest.approx(5_000, abs=100)


async def test_the_last_numbers_of_a_whole_budget_are_remembered(budget: Budget, redis: Redis, own_ref: int) -> None:
    for seed in range(6):
        await age(redis, own_ref, 250 * HOUR)
        await charge(budget, own_ref, refs(5_000, seed=seed))

    # A number that was taken for a known one was not stored, so it may be new later: 3 of 5,000.
    assert (await charge(budget, own_ref, refs(5_000, seed=5)))[0] == pytest.approx(0, abs=20)
    await age(redis, own_ref, 250 * HOUR)
    assert (await charge(budget, own_ref, refs(1_000, seed=0)))[0] == pytest.approx(1_000, abs=5)


async def test_each_number_has_its_own_budget(small: Budget, redis: Redis, own_ref: int) -> None:
    await small.charge(own_ref, refs(10))

    assert (await small.charge(own_ref + 1, refs(10))).left == 0
    await redis.delete(key_of(own_ref + 1))


async def test_calls_are_limited_whether_they_are_answered_or_refused(redis: Redis, own_ref: int) -> None:
    budget = Budget(redis, SECRET, numbers=2, per_hour=1, calls_per_minute=6)
    await budget.charge(own_ref, refs(2))
    for _ in range(2):
        await budget.charge(own_ref, ())
    for seed in (2, 3, 4):
        with pytest.raises(ServiceError) as refusal:
            await budget.charge(own_ref, refs(1, seed=seed))
        assert refusal.value.code is ErrorCode.CONTACT_BUDGET

    with pytest.raises(ServiceError) as refusal:
        await budget.charge(own_ref, refs(2))

    assert refusal.value.code is ErrorCode.CALLER_LIMIT
    assert refusal.value.retry_after is not None
    assert 1 <= refusal.value.retry_after <= 10
    await age(redis, own_ref, refusal.value.retry_after)
    assert (await budget.charge(own_ref, refs(2))).charged == 0


async def test_what_was_looked_up_can_be_forgotten_and_what_was_spent_stays(
    small: Budget, redis: Redis, own_ref: int
) -> None:
    await small.charge(own_ref, refs(8))

    await small.forget(own_ref)

    assert sorted(await redis.hkeys(key_of(own_ref))) == [b"at", b"spent"]
    assert (await small.charge(own_ref, refs(2))).left == 0


async def test_a_budget_is_one_key_that_ends_by_itself(small: Budget, redis: Redis, own_ref: int) -> None:
    await small.charge(own_ref, refs(10))
    with pytest.raises(ServiceError):
        await small.charge(own_ref, refs(1, seed=2))

    assert 0 < await redis.ttl(key_of(own_ref)) <= UNUSED_SECONDS


async def test_a_key_lives_at_least_until_its_budget_is_whole_again(redis: Redis, own_ref: int) -> None:
    slow = Budget(redis, SECRET, numbers=1_000, per_hour=1)
    await slow.charge(own_ref, refs(1_000))

    assert await redis.ttl(key_of(own_ref)) == pytest.approx(1_000 * HOUR, abs=2 * HOUR)


async def test_repeats_keep_a_budget_in_use(small: Budget, redis: Redis, own_ref: int) -> None:
    await small.charge(own_ref, refs(5))
    await redis.expire(key_of(own_ref), 60)

    await small.charge(own_ref, refs(5))

    assert await redis.ttl(key_of(own_ref)) > UNUSED_SECONDS - 60


async def test_a_key_ends_by_itself_also_after_a_call_that_only_counts_as_a_call(redis: Redis, own_ref: int) -> None:
    await Budget(redis, SECRET, numbers=10, per_hour=1, calls_per_minute=5).charge(own_ref, ())

    assert 0 < await redis.ttl(key_of(own_ref)) <= UNUSED_SECONDS


@pytest.mark.parametrize("numbers", [1, 1_000, 5_000, 7_000, 100_000, 1_000_000])
def test_fingerprints_are_as_short_as_the_free_share_allows(numbers: int) -> None:
    remembered, bits = 2 * (numbers + MAX_NUMBERS), fingerprint_bits(numbers)

    assert remembered / 2**bits <= MAX_FREE_SHARE / MARGIN < remembered / 2 ** (bits - 1)


def test_a_fingerprint_has_no_more_bits_than_it_needs() -> None:
    whole, cut = Fingerprints(SECRET, 32).of(1, refs(100)), Fingerprints(SECRET, 26).of(1, refs(100))

    assert [byte & 0b1100_0000 if index % 4 == 3 else byte for index, byte in enumerate(whole)] == list(cut)


async def test_a_large_budget_counts_all_but_the_few_numbers_that_are_taken_for_known_ones(
    redis: Redis, own_ref: int
) -> None:
    large = Budget(redis, SECRET, numbers=100_000, per_hour=20)

    charged, left = await charge(large, own_ref, refs(20_000))

    assert 20_000 - charged <= 5
    assert left == 100_000 - charged
    assert (await charge(large, own_ref, refs(20_000)))[0] == 0


async def test_five_thousand_numbers_take_sixteen_kilobytes(budget: Budget, redis: Redis, own_ref: int) -> None:
    await charge(budget, own_ref, refs(5_000))

    assert await redis.memory_usage(key_of(own_ref)) < 16_000


def test_fingerprints_of_two_users_have_nothing_in_common() -> None:
    fingerprints, book = Fingerprints(SECRET, 26), refs(2_000)
    sets = [
        {packed[at : at + 4] for at in range(0, len(packed), 4)}
        for packed in (fingerprints.of(1, book), fingerprints.of(2, book))
    ]

    assert len(sets[0] & sets[1]) <= 5
    assert fingerprints.owner(1) != fingerprints.owner(2)
    assert Fingerprints(bytes(32), 26).of(1, book) != fingerprints.of(1, book)


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """A port that accepts connections and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_calls_are_refused_without_redis(own_ref: int) -> None:
    async with silent_server() as port:
        for url in (f"redis://127.0.0.1:{port}", "redis://127.0.0.1:1"):
            unavailable = Redis.from_url(
                url, socket_timeout=0.15, socket_connect_timeout=0.15, retry=Retry(NoBackoff(), 0)
            )
            with pytest.raises(ServiceError) as refusal:
                await Budget(unavailable, SECRET, numbers=10, per_hour=2).charge(own_ref, refs(1))
            await unavailable.aclose()
            assert refusal.value.code is ErrorCode.UNAVAILABLE


async def test_a_user_is_told_how_many_numbers_count_on_their_budget_and_since_when(
    small: Budget, own_ref: int
) -> None:
    nothing = await small.look_ups(own_ref)
    await small.charge(own_ref, refs(3))
    some = await small.look_ups(own_ref)
    await small.forget(own_ref)

    assert (nothing.numbers, nothing.last_at) == (0, None)
    assert some.numbers == 3
    assert some.last_at is not None
    assert await small.look_ups(own_ref) == some
