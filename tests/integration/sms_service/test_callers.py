"""The limits on callers in a real Redis: all or nothing, by network, and closed without Redis."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from support.sms import NETWORKS, PHONES, Sms, asking, entering, fresh_number, refusal, running

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose
from shared.networks import CallerNetworks, IPv4OrIPv6, RequestSource
from shared.phone import E164, ref_hex
from shared.redis import Script, client
from sms_service.callers.limits import DAY, HOUR, MINUTE, CallerLimitValues, Limit
from sms_service.callers.rate_limits import CallerRateLimits, key_of

LIMITS = CallerLimitValues(
    Limit("sends-address", 20, HOUR),
    Limit("sends-network", 60, HOUR),
    Limit("sends-site", 180, HOUR),
    Limit("number-sends", 4, DAY),
    Limit("lookups-minute", 30, MINUTE),
    Limit("lookups-hour", 300, HOUR),
    Limit("lookups-network", 50, HOUR),
    Limit("lookups-site", 150, HOUR),
    Limit("sends-app", 40, HOUR),
    Limit("lookups-app", 50, HOUR),
    Limit("sends-user", 5, HOUR),
)
"""Low limits, so that few calls reach them."""


@pytest.fixture(scope="module")
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with client(redis_url) as redis:
        yield redis


@pytest.fixture
async def network(redis: Redis) -> AsyncIterator[str]:
    """The first three bytes of an IPv4 network that no other test uses."""
    network = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
    yield network
    async for key in redis.scan_iter(match=f"{{callers:{network}.0/24}}*"):
        await redis.delete(key)


@pytest.fixture
def callers(redis: Redis) -> CallerRateLimits:
    return CallerRateLimits(redis, LIMITS)


def at(network: str, host: int = 1) -> IPv4OrIPv6:
    return ip_address(f"{network}.{host}")


async def send(callers: CallerRateLimits, address: IPv4OrIPv6, number: E164 | None = None) -> None:
    """Charge one send, to a new number unless one is passed."""
    await callers.charge_send(RequestSource(address), PHONES.ref(number or fresh_number()))


async def allowed(call: Any) -> bool:
    try:
        await call
    except ServiceError as error:
        assert error.code is ErrorCode.CALLER_LIMIT
        return False
    return True


async def test_an_address_may_send_twenty_times_and_then_once_every_three_minutes(
    callers: CallerRateLimits, redis: Redis, network: str
) -> None:
    assert [await allowed(send(callers, at(network))) for _ in range(21)] == [True] * 20 + [False]
    error = await refusal(send(callers, at(network)))
    assert 170 <= (error.retry_after or 0) <= 180

    networks = CallerNetworks.of(at(network))
    for limit, who in ((LIMITS.address_sends, networks.address), (LIMITS.network_sends, networks.network)):
        key = key_of(networks.site, limit, who)
        await redis.set(key, int(await redis.get(key)) - 180_000_000, keepttl=True)

    assert [await allowed(send(callers, at(network))) for _ in range(2)] == [True, False]


async def test_a_network_may_send_sixty_times_from_all_its_addresses(callers: CallerRateLimits, network: str) -> None:
    assert all([await allowed(send(callers, at(network, host))) for host in range(4, 64)])
    error = await refusal(send(callers, at(network, 200)))
    assert 50 <= (error.retry_after or 0) <= 60


async def test_a_refusal_charges_nothing(callers: CallerRateLimits, redis: Redis, network: str) -> None:
    for _ in range(20):
        await send(callers, at(network))
    networks = CallerNetworks.of(at(network))
    key = key_of(networks.site, LIMITS.network_sends, networks.network)
    before = await redis.get(key)

    assert not await allowed(send(callers, at(network)))

    assert await redis.get(key) == before
    assert all([await allowed(send(callers, at(network, host))) for host in range(2, 42)])
    assert not await allowed(send(callers, at(network, 99)))


async def test_one_network_may_send_four_times_a_day_to_one_number(
    callers: CallerRateLimits, redis: Redis, network: str
) -> None:
    victim = fresh_number()
    assert [await allowed(send(callers, at(network, host), victim)) for host in range(1, 6)] == [True] * 4 + [False]
    error = await refusal(send(callers, at(network, 9), victim))
    assert 6 * 3600 - 10 <= (error.retry_after or 0) <= 6 * 3600
    await send(callers, at(network))

    keys = [key.decode() async for key in redis.scan_iter(match=f"{{callers:{network}.0/24}}:number-sends:*")]
    assert f"{{callers:{network}.0/24}}:number-sends:{ref_hex(PHONES.ref(victim))}" in keys
    assert not any(victim[3:] in key for key in keys)


async def test_a_send_that_did_not_happen_is_refunded_to_the_number_only(
    sms: Sms, callers: CallerRateLimits, redis: Redis, network: str
) -> None:
    number, codes, networks = fresh_number(), sms.codes(callers), CallerNetworks.of(at(network))
    await codes.issue(asking(number, address=str(at(network))))
    key = key_of(networks.site, LIMITS.number_sends, ref_hex(PHONES.ref(number)))
    charged = await redis.get(key)

    for _ in range(6):
        error = await refusal(codes.issue(asking(number, address=str(at(network)))))
        assert error.code is ErrorCode.COOLDOWN
    assert await redis.get(key) == charged
    await refusal(codes.issue(asking(fresh_number(), address=str(at(network)), refuse=ErrorCode.NUMBER_TAKEN)))
    numbers = [key async for key in redis.scan_iter(match=f"{{callers:{network}.0/24}}:number-sends:*")]
    assert numbers == [key.encode()]
    wait = (
        int(await redis.get(key_of(networks.site, LIMITS.address_sends, networks.address))) / 1e6
        - (await redis.time())[0]
    )
    assert wait > 7 * 180


async def test_a_site_of_many_networks_may_send_three_times_as_often_as_one_network(
    callers: CallerRateLimits, redis: Redis
) -> None:
    site = f"2001:db8:{secrets.randbelow(2**16):x}"
    hosts = [ip_address(f"{site}:{network * 256 + host:x}::1") for network in range(4) for host in range(60)]

    assert [await allowed(send(callers, host)) for host in hosts[:181]] == [True] * 180 + [False]

    async for key in redis.scan_iter(match=f"{{callers:{ip_network((hosts[0], 48), strict=False)}}}*"):
        await redis.delete(key)


async def test_lookups_have_their_own_limits(callers: CallerRateLimits, network: str) -> None:
    assert [await allowed(callers.charge_lookup(RequestSource(at(network)))) for _ in range(31)] == [True] * 30 + [
        False
    ]
    error = await refusal(callers.charge_lookup(RequestSource(at(network))))
    assert 1 <= (error.retry_after or 0) <= 2
    await send(callers, at(network))


async def test_all_addresses_of_a_network_share_its_lookups(callers: CallerRateLimits, network: str) -> None:
    assert all([await allowed(callers.charge_lookup(RequestSource(at(network, host)))) for host in range(4, 54)])
    error = await refusal(callers.charge_lookup(RequestSource(at(network, 200))))
    assert 50 <= (error.retry_after or 0) <= 72
    await send(callers, at(network))


async def test_all_networks_of_a_site_share_its_lookups(callers: CallerRateLimits, redis: Redis) -> None:
    site = f"2001:db8:{secrets.randbelow(2**16):x}"
    hosts = [ip_address(f"{site}:{network * 256 + host:x}::1") for network in range(4) for host in range(50)]

    assert [await allowed(callers.charge_lookup(RequestSource(host))) for host in hosts[:151]] == [True] * 150 + [False]

    async for key in redis.scan_iter(match=f"{{callers:{ip_network((hosts[0], 48), strict=False)}}}*"):
        await redis.delete(key)


async def test_an_address_in_the_allow_list_has_only_the_limit_on_sends_to_one_number(
    redis: Redis, network: str
) -> None:
    limits = replace(LIMITS, allow_list=(ip_network(f"{network}.8/29"),))
    callers, number = CallerRateLimits(redis, limits), fresh_number()

    assert all([await allowed(send(callers, at(network, 9))) for _ in range(61)])
    assert all([await allowed(callers.charge_lookup(RequestSource(at(network, 9)))) for _ in range(31)])
    assert [await allowed(send(callers, at(network, 9), number)) for _ in range(5)] == [True] * 4 + [False]
    assert callers.source_network(RequestSource(at(network, 9))) is None

    assert [await allowed(send(callers, at(network))) for _ in range(21)] == [True] * 20 + [False]


async def test_many_people_behind_one_address_of_a_carrier_get_their_codes(redis: Redis, network: str) -> None:
    callers = CallerRateLimits(redis)

    assert all([await allowed(send(callers, at(network))) for _ in range(120)])
    assert all([await allowed(send(callers, at(network, 2 + call % 4))) for call in range(480)])
    assert not await allowed(send(callers, at(network, 99)))


async def test_the_longest_wait_is_returned(redis: Redis, network: str) -> None:
    decide = Script(redis, "sms_service.callers", "lua/charge.lua")
    keys = [f"{{callers:{network}.0/24}}:short", f"{{callers:{network}.0/24}}:long"]
    assert await decide(keys, [1, 10, 1, 1000, 2]) == [1, 0]
    lane, wait = await decide(keys, [1, 10, 1, 1000, 2])
    assert lane == 0
    assert 990 <= wait <= 1000


async def test_a_second_lane_is_charged_after_the_first_and_the_shorter_wait_is_returned(
    redis: Redis, network: str
) -> None:
    decide = Script(redis, "sms_service.callers", "lua/charge.lua")
    keys = [f"{{callers:{network}.0/24}}:{name}" for name in ("long", "short")]
    assert [await decide(keys, [1, 1000, 2, 100, 1]) for _ in range(3)] == [[1, 0], [2, 0], [2, 0]]
    lane, wait = await decide(keys, [1, 1000, 2, 100, 1])
    assert lane == 0
    assert 45 <= wait <= 50


async def test_keys_expire_when_their_limit_is_full_again(
    callers: CallerRateLimits, redis: Redis, network: str
) -> None:
    await callers.charge_lookup(RequestSource(at(network)))
    networks = CallerNetworks.of(at(network))
    limits = (LIMITS.lookups_minute, LIMITS.lookups_hour)
    left = [await redis.pttl(key_of(networks.site, limit, networks.address)) for limit in limits]
    assert all(0 < ttl <= limit.period / limit.allowed * 1000 for ttl, limit in zip(left, limits, strict=True))


async def test_all_keys_of_one_call_share_a_hash_tag_as_redis_cluster_requires(
    callers: CallerRateLimits, redis: Redis, network: str
) -> None:
    await send(callers, at(network))
    await callers.charge_lookup(RequestSource(at(network)))
    keys = [key.decode() async for key in redis.scan_iter(match=f"*{network}*")]
    assert len(keys) >= 5
    assert {key[: key.index("}") + 1] for key in keys} == {f"{{callers:{network}.0/24}}"}


async def test_a_server_that_lost_the_script_gets_it_again(redis: Redis, network: str) -> None:
    decide = Script(redis, "sms_service.callers", "lua/charge.lua")
    decide._digest = "0" * 40
    assert await decide([f"{{callers:{network}.0/24}}:any"], [1, 10, 1]) == [1, 0]


@pytest.fixture
async def unavailable() -> AsyncIterator[CallerRateLimits]:
    """Limits without a Redis server: nothing listens on port 1."""
    redis = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    yield CallerRateLimits(redis)
    await redis.aclose()


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


async def test_without_redis_no_code_is_sent_and_codes_can_still_be_checked(
    sms: Sms, unavailable: CallerRateLimits
) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))

    assert (await refusal(sms.codes(unavailable).issue(asking(fresh_number())))).code is ErrorCode.UNAVAILABLE
    assert await sms.codes(unavailable).check(entering(number, issued.code))


async def test_a_limited_caller_is_refused_first_and_recorded_once_a_minute(
    sms: Sms, callers: CallerRateLimits, network: str
) -> None:
    number = fresh_number()
    codes = sms.codes(callers)
    for _ in range(20):
        await send(callers, at(network))

    for _ in range(5):
        error = await refusal(codes.issue(asking(number, address=str(at(network)), refuse=ErrorCode.NUMBER_TAKEN)))
        assert error.code is ErrorCode.CALLER_LIMIT

    (event,) = await sms.events(ref_hex(PHONES.ref(number)))
    assert (event["type"], event["data"]["limiter"]) == ("sms.verification.refused.v1", "caller")


@pytest.fixture
async def app(redis: Redis) -> AsyncIterator[str]:
    """The name of an app that no other test uses."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    async for key in redis.scan_iter(match=f"{{callers:app {name}}}*"):
        await redis.delete(key)


async def sends(callers: CallerRateLimits, source: RequestSource, count: int, number: E164 | None = None) -> list[bool]:
    """Whether each of so many sends is allowed, to new numbers unless one is passed."""
    charges = (callers.charge_send(source, PHONES.ref(number or fresh_number())) for _ in range(count))
    return [await allowed(charge) for charge in charges]


async def known_sends(callers: CallerRateLimits, source: RequestSource, count: int) -> list[bool | None]:
    """Whether each of so many sends of known callers is charged to what is kept for them; None if it is refused."""
    charged = list[bool | None]()
    for _ in range(count):
        try:
            charged.append(await callers.charge_send(source, None))
        except ServiceError as error:
            assert error.code is ErrorCode.CALLER_LIMIT
            charged.append(None)
    return charged


async def test_an_app_that_tells_no_address_has_its_own_limit_and_no_other(callers: CallerRateLimits, app: str) -> None:
    source = RequestSource(None, app)

    assert await sends(callers, source, 41) == [True] * 40 + [False]
    assert [await allowed(callers.charge_lookup(source)) for _ in range(51)] == [True] * 50 + [False]


async def test_callers_who_are_known_to_the_number_do_not_count_on_their_app(
    callers: CallerRateLimits, app: str, network: str
) -> None:
    await sends(callers, RequestSource(None, app), 40)

    assert not await allowed(callers.charge_send(RequestSource(at(network), app), 7))
    assert await allowed(callers.charge_send(RequestSource(at(network), app), None))


async def test_callers_who_are_known_to_the_number_have_half_as_many_sends_kept_on_a_full_address_and_network(
    callers: CallerRateLimits, network: str
) -> None:
    here, elsewhere = RequestSource(at(network)), RequestSource(at(network, 2))
    assert await sends(callers, here, 21) == [True] * 20 + [False]
    assert await known_sends(callers, here, 11) == [True] * 10 + [None]
    assert await known_sends(callers, elsewhere, 1) == [False], "strangers have left something there"

    for host in range(3, 6):
        await sends(callers, RequestSource(at(network, host)), 20)
    kept = [await known_sends(callers, RequestSource(at(network, host)), 10) for host in (6, 7, 8)]
    assert kept == [[True] * 10, [True] * 10, [None] * 10], "30 in the network"
    assert (await sends(callers, elsewhere, 1)) == [False]


async def test_what_was_kept_is_given_back_for_a_send_that_did_not_happen(
    callers: CallerRateLimits, network: str
) -> None:
    source = RequestSource(at(network))
    await sends(callers, source, 20)
    for _ in range(30):
        assert await known_sends(callers, source, 1) == [True]
        await callers.refund_send(source, None)

    assert await known_sends(callers, source, 11) == [True] * 10 + [None]


async def test_one_number_cannot_use_up_what_is_kept_for_known_callers_of_others(
    sms: Sms, callers: CallerRateLimits, network: str
) -> None:
    codes, address = sms.codes(callers), str(at(network))
    known = {"registered": True, "known_networks": [NETWORKS.ref(RequestSource(at(network)))], "address": address}
    await sends(callers, RequestSource(at(network)), 20)
    first = fresh_number()
    await codes.issue(asking(first, Purpose.RESET_PASSWORD, **known))
    for _ in range(30):
        error = await refusal(codes.issue(asking(first, Purpose.RESET_PASSWORD, **known)))
        assert error.code is ErrorCode.COOLDOWN

    for _ in range(9):
        await codes.issue(asking(fresh_number(), Purpose.RESET_PASSWORD, **known))
    error = await refusal(codes.issue(asking(fresh_number(), Purpose.RESET_PASSWORD, **known)))
    assert error.code is ErrorCode.CALLER_LIMIT


async def test_a_user_of_an_app_cannot_use_up_what_belongs_to_all_its_users(
    callers: CallerRateLimits, app: str, network: str
) -> None:
    flood = RequestSource(at(network), app)

    assert await sends(callers, flood, 60) == [True] * 20 + [False] * 40
    assert all(await sends(callers, RequestSource(None, app), 20))
    assert not any(await sends(callers, RequestSource(at(network, 99), app), 1))


async def test_an_address_counts_alike_whether_its_user_or_an_app_server_calls(
    callers: CallerRateLimits, app: str, network: str
) -> None:
    sources = RequestSource(at(network)), RequestSource(at(network), app)

    assert [(await sends(callers, sources[call % 2], 1))[0] for call in range(22)] == [True] * 20 + [False] * 2


async def test_the_limit_on_sends_to_one_number_holds_for_an_app(
    callers: CallerRateLimits, app: str, network: str
) -> None:
    here, nowhere, victim = RequestSource(at(network), app), RequestSource(None, app), fresh_number()

    assert await sends(callers, here, 5, victim) == [True] * 4 + [False]
    assert await sends(callers, nowhere, 5, victim) == [True] * 4 + [False]


async def test_a_send_that_the_limit_of_an_app_refuses_is_refunded_to_the_number(
    callers: CallerRateLimits, app: str, redis: Redis
) -> None:
    source, victim = RequestSource(None, app), fresh_number()
    await sends(callers, source, 40)

    assert not any(await sends(callers, source, 5, victim))

    key = key_of(source.place, LIMITS.number_sends, ref_hex(PHONES.ref(victim)))
    assert await redis.get(key) is None


async def test_a_logged_in_user_counts_on_themselves_wherever_they_are(
    callers: CallerRateLimits, redis: Redis, network: str
) -> None:
    user_id = secrets.randbelow(2**40)
    sources = [RequestSource(at(network), user_id=user_id), RequestSource(None, "shop", user_id)]

    assert [(await sends(callers, sources[call % 2], 1))[0] for call in range(6)] == [True] * 5 + [False]
    assert all(await sends(callers, RequestSource(at(network)), 20))

    async for key in redis.scan_iter(match=f"{{callers:user {user_id}}}*"):
        await redis.delete(key)


async def test_without_redis_an_app_is_refused_too(unavailable: CallerRateLimits) -> None:
    source = RequestSource(None, "shop")
    for call in (unavailable.charge_send(source, PHONES.ref(fresh_number())), unavailable.charge_lookup(source)):
        assert (await refusal(call)).code is ErrorCode.UNAVAILABLE
