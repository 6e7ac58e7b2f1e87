"""SMS pumping: prefixes with few verified codes are flagged, throttled, blocked and cleared; other users notice nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from functools import partial

import asyncpg
import pytest
from prometheus_client import REGISTRY
from support.patience import until_accepted
from support.sms import PHONES, Sms, asking, entering, fresh_number, process, refusal, running, wrong
from support.spending import (
    CENT,
    LOW_THRESHOLDS,
    MINUTE,
    SpendingHarness,
    clear_of_the_edge,
    make_plan,
    make_sender,
    outcome,
    pump,
    pump_on,
    random_number,
    random_range,
    send,
)

from shared.batching import MAX_BATCH
from shared.errors import ErrorCode
from shared.internal_api.sms import Purpose
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


async def test_an_attack_on_ten_thousand_numbers_of_one_prefix_costs_its_budget_and_no_other_user_notices(
    sms: Sms,
) -> None:
    plan = make_plan(("+86", "9.00", None), ("+86170", "1.00", "2.00"), range={"flag": 20, "throttle": 0, "block": 0})
    harness = await SpendingHarness(sms, plan).open()
    codes, sender = harness.codes(), make_sender()
    delivery, number_range = harness.delivery(sender), "+861700013"
    busy = 0

    async def pump_one(last: int) -> None:
        nonlocal busy
        try:
            await until_accepted(lambda: codes.issue(asking(E164(f"{number_range}{last:04d}"))))
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
        await harness.review()

    pumped = [message for message in sender.messages if message.to.startswith(number_range)]
    theirs = PHONES.refs(users)
    assert {message.to for message in sender.messages} >= set(users)
    assert await harness.spent("+86170") == len(pumped) * CENT <= 100 * CENT
    assert await harness.spent("+86") == (len(pumped) + len(users)) * CENT
    assert busy + await sms.pool.fetchval("select count(*) from messages where phone_ref <> all($1)", theirs) == 10**4
    assert busy > 9_000  # refused, with nothing written
    assert await harness.stages("hour:+86170") == ["warned", "exhausted"]
    assert await harness.stages("hour:+86") == []
    assert (await harness.stages(f"range:{number_range}"))[:1] == ["flagged"]


async def test_with_a_shared_budget_an_attack_is_throttled_at_once_then_blocked_and_other_users_go_on(
    sms: Sms,
) -> None:
    harness = await SpendingHarness(sms, make_plan(("+86", "9.00", None))).open()
    await clear_of_the_edge(sms.pool, MINUTE)
    codes, sender, number_range, errors = harness.codes(), make_sender(), "+861700014", set()
    delivery = harness.delivery(sender)

    for batch in range(40):
        for last in range(250):
            try:
                await codes.issue(asking(E164(f"{number_range}{batch * 250 + last:04d}")))
            except BlockedError as error:
                errors.add(error.code)
                break  # the rest of this minute would get the same answer
        queued = await sms.pool.fetch("select message_id from messages where state = 'queued'")
        await asyncio.gather(*(delivery.deliver(row["message_id"]) for row in queued))
        await harness.review()
        await send(harness, fresh_number(), verify=True)
        await harness.age(minutes=1)

    assert errors == {ErrorCode.SENDING_PAUSED}
    assert await harness.stages(f"range:{number_range}") == ["flagged", "throttled", "blocked"]
    assert len(sender.messages) <= MAX_BATCH + 10 * 6


async def test_a_prefix_is_flagged_then_throttled_then_blocked_with_one_event_for_each(
    sms: Sms, postgres_url: str
) -> None:
    harness, number_range = (
        await SpendingHarness(sms, make_plan(("+86", "9.00", None), range=LOW_THRESHOLDS)).open(),
        random_range(),
    )
    scope = f"range:{number_range}"

    async with process(postgres_url, sms.database) as other:
        monitors = [
            PrefixMonitor(
                SpendingHarness(each, harness.plan).store, harness.plan, lambda: None, interval=0, rest_factor=0
            )
            for each in (sms, other) * 4
        ]
        for count, stages in ((8, ["flagged"]), (8, ["flagged", "throttled"])):
            await pump_on(harness, number_range, count)
            await asyncio.gather(*(monitor.review() for monitor in monitors))
            assert await harness.stages(scope) == stages
        await harness.age(minutes=10)
        await asyncio.gather(*(monitor.review() for monitor in monitors))

    assert await harness.stages(scope) == ["flagged", "throttled", "blocked"]
    *_, event = await sms.events(scope)
    assert event["type"] == "sms.prefix.blocked.v1"
    assert event["data"] == {
        "scope": scope,
        "kind": "range",
        "prefix": number_range,
        "sent": 16,
        "verified": 0,
        "spent_micros": 16 * CENT,
        "currency": "CNY",
        "enforced": True,
        "seconds": 3600,
    }


async def test_a_request_for_a_blocked_prefix_is_refused_with_retry_after_and_writes_nothing(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump(harness, number_range, 12)
    await harness.age(minutes=10)
    await harness.review()
    before = await rows(sms)

    labels = {"limiter": "spending", "purpose": "sign_up", "dialect": "maitian"}
    counted = REGISTRY.get_sample_value("haoma_codes_refused_total", labels) or 0
    refused = [
        await refusal(harness.codes().issue(asking(E164(f"{number_range}{last}")))) for last in (7001, 7002, 7003)
    ]

    assert {(error.code, type(error)) for error in refused} == {(ErrorCode.SENDING_PAUSED, BlockedError)}
    assert all(3590 <= (error.retry_after or 0) <= 3600 for error in refused)
    assert await rows(sms) == before
    refusals = [event for event in await sms.events("spending") if event["type"] == "sms.verification.refused.v1"]
    assert len(refusals) == 3
    assert REGISTRY.get_sample_value("haoma_codes_refused_total", labels) == counted + 3
    await send(harness, random_number(random_range("+86139")), verify=True)


@pytest.mark.parametrize("minutes", [0, 10], ids=["throttled", "blocked"])
async def test_strangers_cannot_have_an_owner_refused_by_pumping_the_prefix_of_their_number(
    sms: Sms, minutes: int
) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    codes, sender, owner = harness.codes(), make_sender(), E164(f"{number_range}7001")
    waiting = await codes.issue(asking(owner, Purpose.SIGN_IN, registered=True, session_phone=owner))
    await pump(harness, number_range, 16)
    await harness.age(minutes=minutes)
    await harness.review()
    codes_of_strangers = [await outcome(harness, E164(f"{number_range}{last}")) for last in range(7002, 7008)]
    assert codes_of_strangers[-1] is ErrorCode.SENDING_PAUSED

    await harness.delivery(sender).deliver((await sms.sends(owner))[-1]["message_id"])
    await sms.age(owner, seconds=61)
    await codes.issue(asking(owner, Purpose.SIGN_IN, registered=True, session_phone=owner))
    await harness.delivery(sender).deliver((await sms.sends(owner))[-1]["message_id"])

    assert [(message.to, message.code) for message in sender.messages] == [(owner, waiting.code)] * 2


async def rows(sms: Sms) -> tuple[int, ...]:
    """How many rows the tables have that a request for a code writes to."""
    counts = [f"select count(*) from {table}" for table in ("number_activity", "verifications", "messages", "attempts")]
    return tuple([await sms.pool.fetchval(count) for count in counts])


async def test_a_flood_of_requests_for_a_blocked_prefix_makes_few_events(
    sms: Sms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_service.verification.audit_recorder.BLOCKED_PER_MINUTE", 5)
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump(harness, number_range, 12)
    await harness.age(minutes=10)
    await harness.review()
    codes = harness.codes()

    for last in range(20):
        await refusal(codes.issue(asking(E164(f"{number_range}{last:04d}"))))

    refusals = [event for event in await sms.events("spending") if event["type"] == "sms.verification.refused.v1"]
    assert len(refusals) == 5


async def test_a_throttled_prefix_is_cleared_when_its_codes_are_verified(sms: Sms) -> None:
    low = LOW_THRESHOLDS | {"per_minute": 50}
    harness, number_range = await SpendingHarness(sms, make_plan(range=low)).open(), random_range()
    await pump_on(harness, number_range, 16)
    await harness.review()
    for last in range(100, 120):
        await send(harness, E164(f"{number_range}{last:04d}"), verify=True)

    await harness.review()
    assert (await harness.stages(f"range:{number_range}"))[-1] == "throttled"  # throttling lasts its time
    await sms.pool.execute("update prefix_stages set until = now()")
    await harness.review()

    assert await harness.stages(f"range:{number_range}") == ["flagged", "throttled", "cleared"]


async def test_after_a_block_a_prefix_is_throttled_and_a_continued_attack_is_blocked_for_twice_as_long(
    sms: Sms,
) -> None:
    harness, number_range = (
        await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS | {"per_minute": 8})).open(),
        random_range(),
    )
    await pump_on(harness, number_range, 12)
    await harness.age(minutes=10)
    await harness.review()
    await harness.age(hours=1)
    assert await harness.review() == 1
    assert await harness.review() == 0  # the earlier traffic is forgotten
    for minute in range(100, 120):
        await harness.age(minutes=1)
        await harness.review()
        if (await harness.stages(f"range:{number_range}"))[-1] == "blocked":
            break
        for last in range(8):
            await send(harness, E164(f"{number_range}{minute}{last}"))

    assert await harness.stages(f"range:{number_range}") == ["flagged", "throttled", "blocked", "throttled", "blocked"]
    refused = await refusal(harness.codes().issue(asking(random_number(number_range))))
    assert 7190 <= (refused.retry_after or 0) <= 7200


async def test_after_a_block_a_prefix_whose_users_verify_their_codes_is_cleared(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump_on(harness, number_range, 12)
    await harness.age(minutes=10)
    await harness.review()
    await harness.age(hours=1)
    await harness.review()
    await harness.age(minutes=6)
    await send(harness, random_number(number_range), verify=True)
    assert await harness.review() == 0
    await harness.age(minutes=4)
    await harness.review()

    assert await harness.stages(f"range:{number_range}") == ["flagged", "throttled", "blocked", "throttled", "cleared"]


async def test_a_code_counts_as_verified_once_and_in_the_bucket_of_its_send(sms: Sms) -> None:
    harness, number = await SpendingHarness(sms, make_plan()).open(), fresh_number()
    await send(harness, number)
    (row,) = await sms.sends(number)
    code = sms.deriver.code(1, row["verification_id"], number, asking(number).purpose)
    await refusal(harness.codes().check(entering(number, wrong(code))))
    for _ in range(3):
        await harness.codes().check(entering(number, code))

    (traffic,) = await sms.pool.fetch("select sent, verified, network, country from prefix_traffic")
    assert tuple(traffic) == (1, 1, number[:6], "+86")


async def test_codes_that_are_verified_at_the_same_time_are_all_counted(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan()).open(), random_range()
    numbers = [random_number(number_range) for _ in range(6)]
    entered = []
    for number in numbers:
        await send(harness, number)
        (row,) = await sms.sends(number)
        entered.append(entering(number, sms.deriver.code(1, row["verification_id"], number, asking(number).purpose)))
    codes = harness.codes()
    await asyncio.gather(*(until_accepted(partial(codes.check, each)) for each in entered))

    assert await sms.pool.fetchval("select sum(verified) from prefix_traffic where range = $1", number_range) == len(
        numbers
    )


async def test_an_attack_over_many_ranges_throttles_their_network(sms: Sms) -> None:
    plan = make_plan(network={"flag": 5, "throttle": 10, "block": 0, "per_minute": 2})
    harness = await SpendingHarness(sms, plan).open()
    for place in range(20):
        await send(harness, E164(f"+86165{place:04d}0001"))
    await harness.review()

    assert await harness.stages("network:+86165") == ["flagged", "throttled"]
    await clear_of_the_edge(sms.pool, MINUTE)
    answers = [await outcome(harness, E164(f"+86165{place:04d}0002")) for place in range(4)]
    assert answers == [None, None, ErrorCode.SENDING_PAUSED, ErrorCode.SENDING_PAUSED]
    assert await outcome(harness, random_number("+861660001")) is None


async def test_a_prefix_whose_users_verify_their_codes_is_in_no_stage(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump(harness, number_range, 12)
    await sms.pool.execute("update prefix_traffic set verified = 3")
    await harness.age(minutes=10)

    assert await harness.review() == 0


async def test_a_failing_provider_does_not_look_like_an_attack(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    for last in range(20):
        number = E164(f"{number_range}{last:04d}")
        await harness.codes().issue(asking(number))
        failing = harness.delivery(make_sender(outcome=Outcome.TRANSIENT))
        await failing.deliver((await sms.sends(number))[0]["message_id"])
    await harness.age(minutes=10)

    assert await harness.review() == 0


async def test_in_observe_mode_prefixes_have_events_but_are_not_blocked_while_budgets_apply(sms: Sms) -> None:
    harness = await SpendingHarness(sms, make_plan(("+1", "0.00", None), range=LOW_THRESHOLDS, mode="observe")).open()
    number_range = random_range()
    await pump(harness, number_range, 12)
    await harness.age(minutes=10)
    await harness.review()

    await send(harness, random_number(number_range), verify=True)
    events = await sms.events(f"range:{number_range}")
    assert [(event["type"], event["data"]["enforced"]) for event in events] == [
        (f"sms.prefix.{stage}.v1", False) for stage in ("flagged", "throttled", "blocked")
    ]
    refused = await refusal(harness.codes().issue(asking(E164("+14155550100"))))
    assert isinstance(refused, BlockedError)
    assert 1 <= (refused.retry_after or 0) <= 3600


async def test_an_exhausted_budget_has_an_event_and_is_renewed_with_the_next_window(sms: Sms) -> None:
    harness = await SpendingHarness(
        sms, make_plan(("+86", "0.10", None), range={"flag": 0, "throttle": 0, "block": 0})
    ).open()
    numbers = [fresh_number() for _ in range(12)]
    for number in numbers[:8]:
        await send(harness, number)
    await harness.review()
    assert await harness.stages("hour:+86") == ["warned"]
    for number in numbers[8:10]:
        await send(harness, number)
    await harness.review()

    assert await harness.stages("hour:+86") == ["warned", "exhausted"]
    assert isinstance(await refusal(harness.codes().issue(asking(numbers[10]))), BlockedError)
    *_, event = await sms.events("hour:+86")
    assert (event["data"]["spent_micros"], event["data"]["limit_micros"]) == (10 * CENT, 10 * CENT)
    await harness.age(hours=1)
    await harness.gate.refresh()
    await send(harness, numbers[11], verify=True)  # without a review
    await harness.review()
    assert await harness.stages("hour:+86") == ["warned", "exhausted", "renewed"]


async def test_a_budget_that_strangers_used_up_refuses_strangers_and_pays_for_owners(sms: Sms) -> None:
    harness = await SpendingHarness(
        sms, make_plan(("+86", "0.10", None), known_percent=20, range={"flag": 0, "throttle": 0, "block": 0})
    ).open()
    for _ in range(8):
        await send(harness, fresh_number())
    await harness.review()
    assert await harness.stages("hour:+86") == ["warned", "reserved"]
    refused = await refusal(harness.codes().issue(asking(fresh_number())))
    assert isinstance(refused, BlockedError)
    assert 1 <= (refused.retry_after or 0) <= 3600

    owners = [fresh_number() for _ in range(3)]
    for number in owners[:2]:
        await send(harness, number, registered=True, session_phone=number)
    await harness.review()

    assert [(await sms.sends(number))[0]["state"] for number in owners[:2]] == ["sent", "sent"]
    assert await harness.stages("hour:+86") == ["warned", "reserved", "exhausted"]
    known = asking(owners[2], registered=True, session_phone=owners[2])
    assert isinstance(await refusal(harness.codes().issue(known)), BlockedError)


async def test_a_budget_that_cannot_pay_an_expensive_message_still_pays_cheaper_ones(sms: Sms) -> None:
    plan = make_plan(("+", "0.10", None), prices={"recorder": {"+1": 5 * CENT, "+": CENT}})
    harness = await SpendingHarness(sms, plan).open()
    numbers = [*(fresh_number() for _ in range(6)), E164("+14155550100"), fresh_number()]
    for number in numbers:
        await send(harness, number)
        await harness.review()

    failures = [(await sms.sends(number))[0]["failure"] for number in numbers]
    assert failures == [""] * 6 + [BUDGET_EXHAUSTED, ""]
    assert await harness.stages("hour:+") == []


async def test_a_budget_that_cannot_pay_any_message_is_exhausted_before_all_of_it_is_spent(sms: Sms) -> None:
    harness = await SpendingHarness(sms, make_plan(("+86", "0.10", None), prices={"recorder": {"+": 6 * CENT}})).open()
    await send(harness, fresh_number())
    await harness.review()

    assert await harness.spent("+86") == 6 * CENT
    assert await harness.stages("hour:+86") == ["warned", "exhausted"]
    assert isinstance(await refusal(harness.codes().issue(asking(fresh_number()))), BlockedError)


async def test_a_budget_that_was_removed_from_the_file_refuses_no_number(sms: Sms) -> None:
    harness = await SpendingHarness(sms, make_plan(("+86", "0.01", None))).open()
    await send(harness, fresh_number())
    await harness.review()
    without = await SpendingHarness(sms, make_plan()).open()
    await without.review()

    await send(without, fresh_number(), verify=True)
    assert await without.stages("hour:+86") == ["warned", "exhausted", "renewed"]


async def test_test_numbers_cost_nothing_and_work_while_their_budget_is_exhausted(sms: Sms) -> None:
    number = random_number("+861370000")
    tests = TestNumbers([TestNumber(number, "424242", date(2099, 1, 1))])
    harness = await SpendingHarness(sms, make_plan(("+86", "0.00", None))).open()
    await harness.review()
    assert isinstance(await refusal(harness.codes().issue(asking(fresh_number()))), BlockedError)

    await harness.codes(tests).issue(asking(number))
    await harness.codes(tests).check(entering(number, "424242"))

    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 0
    assert await harness.paid([number]) == 0


async def test_a_gate_keeps_its_stages_while_the_database_is_unavailable(
    sms: Sms, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump(harness, number_range, 12)
    await harness.age(minutes=10)
    await harness.review()

    async def unavailable() -> None:
        raise asyncpg.PostgresConnectionError

    monkeypatch.setattr(harness.store, "state", unavailable)
    with pytest.raises(asyncpg.PostgresConnectionError):
        await harness.gate.refresh()

    assert isinstance(await refusal(harness.codes().issue(asking(random_number(number_range)))), BlockedError)


async def test_one_monitor_in_each_interval_gets_the_lease(sms: Sms, postgres_url: str) -> None:
    plan = make_plan()
    async with process(postgres_url, sms.database) as other:
        stores = [SpendingHarness(each, plan).store for each in (sms, other) * 4]
        leases = await asyncio.gather(*(store.take_lease(timedelta(minutes=1)) for store in stores))
    assert leases.count(True) == 1


async def test_old_traffic_is_deleted_in_batches(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_service.spending.store.PURGE_BATCH", 2)
    harness = await SpendingHarness(sms, make_plan()).open()
    for place in range(5):
        await send(harness, random_number(random_range(f"+8615{place}")))
    await harness.age(hours=49)
    await send(harness, fresh_number())

    assert await sms.pool.fetchval(PURGE_TRAFFIC, 2, 2) == 2
    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 4
    await harness.store.purge()
    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 1


async def test_an_operator_sees_what_is_spent_and_unblocks_a_prefix(sms: Sms) -> None:
    harness, number_range = (
        await SpendingHarness(sms, make_plan(("+86", "0.50", "2.00"), range=LOW_THRESHOLDS)).open(),
        random_range(),
    )
    await pump(harness, number_range, 12)
    await harness.age(minutes=10)
    await harness.review()
    text = await harness.rendered()
    assert f"range:{number_range}: blocked for 0 min, 59 min left; 0 of 12 verified" in text
    assert "of 2.00 CNY, renewed in" in text

    assert not await harness.monitor.unblock(f"range:{random_range('+86139')}")
    assert await harness.monitor.unblock(f"range:{number_range}")
    assert not await harness.monitor.unblock(f"range:{number_range}")
    assert await harness.review() == 0

    await send(harness, random_number(number_range), verify=True)
    assert await harness.stages(f"range:{number_range}") == ["flagged", "throttled", "blocked", "cleared"]
    assert "No prefix is" in await harness.rendered()


async def test_a_busy_range_whose_codes_are_verified_raises_no_alarm(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump(harness, number_range, 2 * LOW_THRESHOLDS["throttle"] + 4, verify=True)
    await pump_on(harness, number_range, 2 * LOW_THRESHOLDS["throttle"] - 1)
    assert harness.alarms == 0
    await pump_on(harness, number_range, 1)
    assert harness.alarms == 1


async def test_a_lease_that_another_process_has_is_refused_without_a_write(sms: Sms) -> None:
    store = SpendingHarness(sms, make_plan()).store
    row = "select xmin::text, xmax::text from job_leases"
    assert await store.take_lease(MINUTE)
    lease = await sms.pool.fetchrow(row)

    assert not await store.take_lease(MINUTE)

    assert await sms.pool.fetchrow(row) == lease


async def test_a_range_that_is_suddenly_busy_raises_the_alarm_and_is_reviewed_at_once(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    monitor = PrefixMonitor(harness.store, harness.plan, lambda: None, interval=3600)
    assert await monitor.review() == 0  # it has the lease for an hour
    await pump(harness, number_range, 2 * LOW_THRESHOLDS["throttle"] - 1)
    assert harness.alarms == 0
    await pump_on(harness, number_range, 1)
    assert harness.alarms == 1

    assert await monitor.review() == 0
    async with asyncio.timeout(30):
        while not await monitor.review(alarmed=True):
            pass
    assert await harness.stages(f"range:{number_range}") == ["flagged", "throttled"]
