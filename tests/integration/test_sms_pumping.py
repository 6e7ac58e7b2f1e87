"""Prefixes from which no codes come back: recorded, slowed, stopped, let go again; and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from functools import partial

import asyncpg
import pytest
from prometheus_client import REGISTRY
from support.patience import until_taken
from support.sms import PHONES, Sms, asking, entering, fresh_number, process, refusal, running, wrong
from support.spending import (
    CENT,
    MINUTE,
    SOON,
    Minding,
    a_plan,
    a_sender,
    block_of,
    clear_of_the_edge,
    number_in,
    outcome,
    pump,
    pump_on,
    send,
)

from shared.batching import MAX_BATCH
from shared.errors import ErrorCode
from shared.phone import E164
from sms_service.senders.port import Outcome
from sms_service.spending.monitor import PrefixMonitor
from sms_service.spending.refusals import BUDGET_EXHAUSTED, BlockedError
from sms_service.spending.store import PURGE_TRAFFIC
from sms_service.verification.test_numbers import TestNumber, TestNumbers


@pytest.fixture
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        await clear_of_the_edge(sms.pool)
        yield sms


async def test_ten_thousand_numbers_of_one_prefix_cost_the_budget_and_nobody_else_notices(sms: Sms) -> None:
    plan = a_plan(("+86", "9.00", None), ("+86170", "1.00", "2.00"), range={"record": 20, "slow": 0, "stop": 0})
    mind = await Minding(sms, plan).open()
    codes, sender = mind.codes(), a_sender()
    delivery, block = mind.delivery(sender), "+861700013"
    busy = 0

    async def pump_one(last: int) -> None:
        nonlocal busy
        try:
            await until_taken(lambda: codes.issue(asking(E164(f"{block}{last:04d}"))))
        except BlockedError:
            busy += 1

    async def deliver_all() -> None:
        queued = await sms.pool.fetch("select message_id from messages where state = 'queued'")
        await asyncio.gather(*(delivery.deliver(row["message_id"]) for row in queued))

    users = [fresh_number() for _ in range(40)]
    for place, user in enumerate(users):
        await asyncio.gather(*(pump_one(place * 250 + last) for last in range(250)))
        issued = await codes.issue(asking(user))
        await deliver_all()
        assert (await codes.check(entering(user, issued.code))).ticket
        await mind.look()

    pumped = [message for message in sender.messages if message.to.startswith(block)]
    theirs = PHONES.refs(users)
    assert {message.to for message in sender.messages} >= set(users)
    assert await mind.spent("+86170") == len(pumped) * CENT <= 100 * CENT
    assert await mind.spent("+86") == (len(pumped) + len(users)) * CENT
    assert busy + await sms.pool.fetchval("select count(*) from messages where phone_ref <> all($1)", theirs) == 10**4
    assert busy > 9_000  # told so, with nothing written
    assert await mind.stages("hour:+86170") == ["recorded", "stopped"]
    assert await mind.stages("hour:+86") == []
    assert (await mind.stages(f"range:{block}"))[:1] == ["recorded"]


async def test_with_one_budget_for_all_pumping_is_slowed_in_a_moment_then_stopped_and_the_others_go_on(
    sms: Sms,
) -> None:
    mind = await Minding(sms, a_plan(("+86", "9.00", None))).open()
    await clear_of_the_edge(sms.pool, MINUTE)
    codes, sender, block, told = mind.codes(), a_sender(), "+861700014", set()
    delivery = mind.delivery(sender)

    for batch in range(40):
        for last in range(250):
            try:
                await codes.issue(asking(E164(f"{block}{batch * 250 + last:04d}")))
            except BlockedError as error:
                told.add(error.code)
                break  # the others of this minute would be told the same
        queued = await sms.pool.fetch("select message_id from messages where state = 'queued'")
        await asyncio.gather(*(delivery.deliver(row["message_id"]) for row in queued))
        await mind.look()
        await send(mind, fresh_number(), verify=True)
        await mind.age(minutes=1)

    assert told == {ErrorCode.SENDING_PAUSED}
    assert await mind.stages(f"range:{block}") == ["recorded", "slowed", "stopped"]
    assert len(sender.messages) <= MAX_BATCH + 10 * 6


async def test_a_prefix_is_recorded_then_slowed_then_stopped_and_each_is_told_once(sms: Sms, postgres_url: str) -> None:
    mind, block = await Minding(sms, a_plan(("+86", "9.00", None), range=SOON)).open(), block_of()
    scope = f"range:{block}"

    async with process(postgres_url, sms.database) as other:
        judges = [
            PrefixMonitor(Minding(each, mind.plan).store, mind.plan, lambda: None, every=0, rest=0)
            for each in (sms, other) * 4
        ]
        for many, stages in ((8, ["recorded"]), (8, ["recorded", "slowed"])):
            await pump_on(mind, block, many)
            await asyncio.gather(*(judge.judge() for judge in judges))
            assert await mind.stages(scope) == stages
        await mind.age(minutes=10)
        await asyncio.gather(*(judge.judge() for judge in judges))

    assert await mind.stages(scope) == ["recorded", "slowed", "stopped"]
    *_, event = await sms.events(scope)
    assert event["type"] == "sms.spending.stopped.v1"
    assert event["data"] == {
        "scope": scope,
        "kind": "range",
        "prefix": block,
        "sent": 16,
        "verified": 0,
        "spent_micros": 16 * CENT,
        "limit_micros": 0,
        "currency": "CNY",
        "enforced": True,
        "seconds": 3600,
    }


async def test_a_stopped_prefix_is_told_to_come_later_and_nothing_is_written(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump(mind, block, 12)
    await mind.age(minutes=10)
    await mind.look()
    before = await rows(sms)

    counted = REGISTRY.get_sample_value("haoma_codes_refused_total", {"limiter": "spending"}) or 0
    refused = [await refusal(mind.codes().issue(asking(E164(f"{block}{last}")))) for last in (7001, 7002, 7003)]

    assert {(error.code, type(error)) for error in refused} == {(ErrorCode.SENDING_PAUSED, BlockedError)}
    assert all(3590 <= (error.retry_after or 0) <= 3600 for error in refused)
    assert await rows(sms) == before
    told = [event for event in await sms.events("spending") if event["type"] == "sms.verification.refused.v1"]
    assert len(told) == 3
    assert REGISTRY.get_sample_value("haoma_codes_refused_total", {"limiter": "spending"}) == counted + 3
    await send(mind, number_in(block_of("+86139")), verify=True)


async def rows(sms: Sms) -> tuple[int, ...]:
    """How many rows there are of all that a request for a code writes."""
    counts = [f"select count(*) from {table}" for table in ("number_activity", "verifications", "messages", "attempts")]
    return tuple([await sms.pool.fetchval(count) for count in counts])


async def test_a_flood_at_a_stopped_prefix_is_not_told_without_end(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_service.verification.audit_recorder.BLOCKED_PER_MINUTE", 5)
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump(mind, block, 12)
    await mind.age(minutes=10)
    await mind.look()
    codes = mind.codes()

    for last in range(20):
        await refusal(codes.issue(asking(E164(f"{block}{last:04d}"))))

    told = [event for event in await sms.events("spending") if event["type"] == "sms.verification.refused.v1"]
    assert len(told) == 5


async def test_when_codes_come_back_a_slowed_prefix_is_let_go(sms: Sms) -> None:
    quick = SOON | {"per_minute": 50}
    mind, block = await Minding(sms, a_plan(range=quick)).open(), block_of()
    await pump_on(mind, block, 16)
    await mind.look()
    for last in range(100, 120):
        await send(mind, E164(f"{block}{last:04d}"), verify=True)

    await mind.look()
    assert (await mind.stages(f"range:{block}"))[-1] == "slowed"  # it takes its time
    await sms.pool.execute("update prefix_stages set until = now()")
    await mind.look()

    assert await mind.stages(f"range:{block}") == ["recorded", "slowed", "resumed"]


async def test_after_a_stop_a_few_are_let_through_and_who_still_pumps_is_stopped_twice_as_long(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON | {"per_minute": 8})).open(), block_of()
    await pump_on(mind, block, 12)
    await mind.age(minutes=10)
    await mind.look()
    await mind.age(hours=1)
    assert await mind.look() == 1
    assert await mind.look() == 0  # what came before is forgotten
    for minute in range(100, 120):
        await mind.age(minutes=1)
        await mind.look()
        if (await mind.stages(f"range:{block}"))[-1] == "stopped":
            break
        for last in range(8):
            await send(mind, E164(f"{block}{minute}{last}"))

    assert await mind.stages(f"range:{block}") == ["recorded", "slowed", "stopped", "slowed", "stopped"]
    refused = await refusal(mind.codes().issue(asking(number_in(block))))
    assert 7190 <= (refused.retry_after or 0) <= 7200


async def test_after_a_stop_a_prefix_whose_users_sign_in_again_is_let_go(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump_on(mind, block, 12)
    await mind.age(minutes=10)
    await mind.look()
    await mind.age(hours=1)
    await mind.look()
    await mind.age(minutes=6)
    await send(mind, number_in(block), verify=True)
    assert await mind.look() == 0
    await mind.age(minutes=4)
    await mind.look()

    assert await mind.stages(f"range:{block}") == ["recorded", "slowed", "stopped", "slowed", "resumed"]


async def test_a_code_verified_twice_or_wrong_counts_once_and_beside_its_send(sms: Sms) -> None:
    mind, number = await Minding(sms, a_plan()).open(), fresh_number()
    await send(mind, number)
    (row,) = await sms.sends(number)
    code = sms.deriver.code(1, row["verification_id"], number, asking(number).purpose)
    await refusal(mind.codes().check(entering(number, wrong(code))))
    for _ in range(3):
        await mind.codes().check(entering(number, code))

    (traffic,) = await sms.pool.fetch("select sent, verified, network, country from prefix_traffic")
    assert tuple(traffic) == (1, 1, number[:6], "+86")


async def test_codes_that_come_back_together_are_all_counted(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan()).open(), block_of()
    numbers = [number_in(block) for _ in range(6)]
    entered = []
    for number in numbers:
        await send(mind, number)
        (row,) = await sms.sends(number)
        entered.append(entering(number, sms.deriver.code(1, row["verification_id"], number, asking(number).purpose)))
    codes = mind.codes()
    await asyncio.gather(*(until_taken(partial(codes.check, each)) for each in entered))

    assert await sms.pool.fetchval("select sum(verified) from prefix_traffic where range = $1", block) == len(numbers)


async def test_spread_over_many_blocks_the_network_is_slowed(sms: Sms) -> None:
    plan = a_plan(network={"record": 5, "slow": 10, "stop": 0, "per_minute": 2})
    mind = await Minding(sms, plan).open()
    for place in range(20):
        await send(mind, E164(f"+86165{place:04d}0001"))
    await mind.look()

    assert await mind.stages("network:+86165") == ["recorded", "slowed"]
    await clear_of_the_edge(sms.pool, MINUTE)
    answers = [await outcome(mind, E164(f"+86165{place:04d}0002")) for place in range(4)]
    assert answers == [None, None, ErrorCode.SENDING_PAUSED, ErrorCode.SENDING_PAUSED]
    assert await outcome(mind, number_in("+861660001")) is None


async def test_a_prefix_whose_users_sign_in_is_never_touched(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump(mind, block, 12)
    await sms.pool.execute("update prefix_traffic set verified = 3")
    await mind.age(minutes=10)

    assert await mind.look() == 0


async def test_a_provider_that_fails_is_no_sign_of_pumping(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    for last in range(20):
        number = E164(f"{block}{last:04d}")
        await mind.codes().issue(asking(number))
        failing = mind.delivery(a_sender(outcome=Outcome.TRANSIENT))
        await failing.deliver((await sms.sends(number))[0]["message_id"])
    await mind.age(minutes=10)

    assert await mind.look() == 0


async def test_where_it_only_records_prefixes_are_told_and_not_stopped_but_budgets_hold(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+1", "0.00", None), range=SOON, mode="record")).open()
    block = block_of()
    await pump(mind, block, 12)
    await mind.age(minutes=10)
    await mind.look()

    await send(mind, number_in(block), verify=True)
    told = await sms.events(f"range:{block}")
    assert [(event["type"], event["data"]["enforced"]) for event in told] == [
        (f"sms.spending.{stage}.v1", False) for stage in ("recorded", "slowed", "stopped")
    ]
    refused = await refusal(mind.codes().issue(asking(E164("+14155550100"))))
    assert isinstance(refused, BlockedError)
    assert 1 <= (refused.retry_after or 0) <= 3600


async def test_a_budget_that_is_used_up_is_told_and_let_go_with_the_next_window(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "0.10", None), range={"record": 0, "slow": 0, "stop": 0})).open()
    numbers = [fresh_number() for _ in range(12)]
    for number in numbers[:8]:
        await send(mind, number)
    await mind.look()
    assert await mind.stages("hour:+86") == ["recorded"]
    for number in numbers[8:10]:
        await send(mind, number)
    await mind.look()

    assert await mind.stages("hour:+86") == ["recorded", "stopped"]
    assert isinstance(await refusal(mind.codes().issue(asking(numbers[10]))), BlockedError)
    *_, event = await sms.events("hour:+86")
    assert (event["data"]["spent_micros"], event["data"]["limit_micros"]) == (10 * CENT, 10 * CENT)
    await mind.age(hours=1)
    await mind.watch.refresh()
    await send(mind, numbers[11], verify=True)  # nobody waits for the judge
    await mind.look()
    assert await mind.stages("hour:+86") == ["recorded", "stopped", "resumed"]


async def test_a_budget_that_could_not_pay_a_dear_message_goes_on_paying_others(sms: Sms) -> None:
    plan = a_plan(("+", "0.10", None), prices={"recorder": {"+1": 5 * CENT, "+": CENT}})
    mind = await Minding(sms, plan).open()
    numbers = [*(fresh_number() for _ in range(6)), E164("+14155550100"), fresh_number()]
    for number in numbers:
        await send(mind, number)
        await mind.look()

    failures = [(await sms.sends(number))[0]["failure"] for number in numbers]
    assert failures == [""] * 6 + [BUDGET_EXHAUSTED, ""]
    assert await mind.stages("hour:+") == []


async def test_a_budget_that_can_pay_nothing_any_more_stops_before_it_is_used_up(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "0.10", None), prices={"recorder": {"+": 6 * CENT}})).open()
    await send(mind, fresh_number())
    await mind.look()

    assert await mind.spent("+86") == 6 * CENT
    assert await mind.stages("hour:+86") == ["recorded", "stopped"]
    assert isinstance(await refusal(mind.codes().issue(asking(fresh_number()))), BlockedError)


async def test_a_budget_that_left_the_file_stops_nobody(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "0.01", None))).open()
    await send(mind, fresh_number())
    await mind.look()
    without = await Minding(sms, a_plan()).open()
    await without.look()

    await send(without, fresh_number(), verify=True)
    assert await without.stages("hour:+86") == ["recorded", "stopped", "resumed"]


async def test_test_numbers_cost_nothing_and_are_asked_whatever_is_stopped(sms: Sms) -> None:
    number = number_in("+861370000")
    tests = TestNumbers([TestNumber(number, "424242", date(2099, 1, 1))])
    mind = await Minding(sms, a_plan(("+86", "0.00", None))).open()
    await mind.look()
    assert isinstance(await refusal(mind.codes().issue(asking(fresh_number()))), BlockedError)

    await mind.codes(tests).issue(asking(number))
    await mind.codes(tests).check(entering(number, "424242"))

    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 0
    assert await mind.paid([number]) == 0


async def test_with_the_database_away_the_view_stays_as_it_was(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump(mind, block, 12)
    await mind.age(minutes=10)
    await mind.look()

    async def away() -> None:
        raise asyncpg.PostgresConnectionError

    monkeypatch.setattr(mind.store, "state", away)
    with pytest.raises(asyncpg.PostgresConnectionError):
        await mind.watch.refresh()

    assert isinstance(await refusal(mind.codes().issue(asking(number_in(block)))), BlockedError)


async def test_judges_take_turns(sms: Sms, postgres_url: str) -> None:
    plan = a_plan()
    async with process(postgres_url, sms.database) as other:
        books = [Minding(each, plan).store for each in (sms, other) * 4]
        turns = await asyncio.gather(*(book.take_turn(timedelta(minutes=1)) for book in books))
    assert turns.count(True) == 1


async def test_old_counts_are_let_go_some_at_a_time(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_service.spending.store.PURGE_BATCH", 2)
    mind = await Minding(sms, a_plan()).open()
    for place in range(5):
        await send(mind, number_in(block_of(f"+8615{place}")))
    await mind.age(hours=49)
    await send(mind, fresh_number())

    assert await sms.pool.fetchval(PURGE_TRAFFIC, 2, 2) == 2
    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 4
    await mind.store.purge()
    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 1


async def test_an_operator_sees_what_is_spent_and_lets_a_prefix_go(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(("+86", "0.50", "2.00"), range=SOON)).open(), block_of()
    await pump(mind, block, 12)
    await mind.age(minutes=10)
    await mind.look()
    text = await mind.shown()
    assert f"range:{block}: stopped for 0 min, 59 min left; 0 of 12 verified" in text
    assert "of 2.00 CNY, anew in" in text

    assert not await mind.judge.resume(f"range:{block_of('+86139')}")
    assert await mind.judge.resume(f"range:{block}")
    assert not await mind.judge.resume(f"range:{block}")
    assert await mind.look() == 0

    await send(mind, number_in(block), verify=True)
    assert await mind.stages(f"range:{block}") == ["recorded", "slowed", "stopped", "resumed"]
    assert "No prefix is" in await mind.shown()


async def test_a_busy_block_whose_codes_come_back_raises_no_alarm(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump(mind, block, 2 * SOON["slow"] + 4, verify=True)
    await pump_on(mind, block, 2 * SOON["slow"] - 1)
    assert mind.alarms == 0
    await pump_on(mind, block, 1)
    assert mind.alarms == 1


async def test_a_turn_that_is_refused_writes_nothing(sms: Sms) -> None:
    store = Minding(sms, a_plan()).store
    row = "select xmin::text, xmax::text from job_leases"
    assert await store.take_turn(MINUTE)
    taken = await sms.pool.fetchrow(row)

    assert not await store.take_turn(MINUTE)

    assert await sms.pool.fetchrow(row) == taken


async def test_a_block_that_is_suddenly_busy_raises_the_alarm_and_is_judged_at_once(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    judge = PrefixMonitor(mind.store, mind.plan, lambda: None, every=3600)
    assert await judge.judge() == 0  # which was its turn
    await pump(mind, block, 2 * SOON["slow"] - 1)
    assert mind.alarms == 0
    await pump_on(mind, block, 1)
    assert mind.alarms == 1

    assert await judge.judge() == 0
    async with asyncio.timeout(30):
        while not await judge.judge(alarmed=True):
            pass
    assert await mind.stages(f"range:{block}") == ["recorded", "slowed"]
