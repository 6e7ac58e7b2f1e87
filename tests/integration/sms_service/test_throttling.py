"""The slots of a throttled prefix: a few messages a minute over all processes, and no slot without a message."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from support.patience import until_accepted
from support.sms import Sms, asking, process, refusal, running
from support.spending import (
    LOW_THRESHOLDS,
    MINUTE,
    SpendingHarness,
    clear_of_the_edge,
    make_plan,
    make_sender,
    outcome,
    pump,
    random_range,
    send,
)

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import CodeIssued
from shared.phone import E164
from sms_service.spending.refusals import PREFIX_BLOCKED, BlockedError


@pytest.fixture
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        await clear_of_the_edge(sms.pool)
        yield sms


async def test_a_throttled_prefix_gets_a_few_messages_a_minute_over_all_processes(sms: Sms, postgres_url: str) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump(harness, number_range, 16)
    await harness.review()
    assert (await harness.stages(f"range:{number_range}"))[-1] == "throttled"

    async with process(postgres_url, sms.database) as other:
        second = SpendingHarness(other, harness.plan)
        await second.gate.refresh()
        await clear_of_the_edge(sms.pool, MINUTE)
        numbers = [E164(f"{number_range}{last:04d}") for last in range(100, 130)]
        requests = [
            until_accepted(partial(each.codes().issue, asking(number)))
            for number, each in zip(numbers, [harness, second] * 15, strict=True)
        ]
        answers = await asyncio.gather(*requests, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, BlockedError)]
    assert len(answers) - len(refused) == 3
    assert all(1 <= (error.retry_after or 0) <= 60 for error in refused)
    await harness.age(minutes=1)
    harness.gate._full_until.clear()  # the gate remembers that the last minute was full
    assert await harness.codes().issue(asking(numbers[-1]))


async def admitted(sms: Sms) -> dict[str, int]:
    """How many slots of this minute are taken, by throttled scope."""
    rows = await sms.pool.fetch("select scope, admitted from prefix_stages where stage = 2")
    return {row["scope"]: row["admitted"] for row in rows}


async def test_requests_that_race_on_one_number_take_one_slot(sms: Sms) -> None:
    harness, number_range = (
        await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS | {"per_minute": 20})).open(),
        random_range(),
    )
    await pump(harness, number_range, 16)
    await harness.review()
    await clear_of_the_edge(sms.pool, MINUTE)
    codes, number = harness.codes(), E164(f"{number_range}7000")

    answers = await asyncio.gather(
        *(until_accepted(lambda: codes.issue(asking(number))) for _ in range(12)), return_exceptions=True
    )

    assert [type(answer) for answer in answers].count(CodeIssued) == 1
    assert {answer.code for answer in answers if isinstance(answer, ServiceError)} == {ErrorCode.COOLDOWN}
    assert await admitted(sms) == {f"range:{number_range}": 1}


async def test_a_request_that_one_of_two_throttled_prefixes_refuses_takes_no_slot_of_the_other(sms: Sms) -> None:
    plan = make_plan(range=LOW_THRESHOLDS, network={"flag": 4, "throttle": 8, "block": 0, "per_minute": 2})
    harness, number_range = await SpendingHarness(sms, plan).open(), random_range()
    await pump(harness, number_range, 16)
    await harness.review()
    await clear_of_the_edge(sms.pool, MINUTE)

    codes = harness.codes()
    answers = [await outcome(harness, E164(f"{number_range}{last}")) for last in range(7000, 7004)]
    other = SpendingHarness(sms, harness.plan)  # its gate does not know yet that the minute is full
    await other.gate.refresh()
    assert isinstance(await refusal(other.codes().issue(asking(E164(f"{number_range}7005")))), BlockedError)
    assert isinstance(await refusal(codes.issue(asking(E164(f"{number_range}7006")))), BlockedError)

    assert answers == [None, None, ErrorCode.SENDING_PAUSED, ErrorCode.SENDING_PAUSED]
    assert await admitted(sms) == {f"range:{number_range}": 2, "network:+86138": 2}


async def test_messages_queued_before_the_throttling_share_the_same_slots(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    codes, sender = harness.codes(), make_sender()
    numbers = [E164(f"{number_range}{last:04d}") for last in range(30)]
    for number in numbers:
        await codes.issue(asking(number))
    ids = [(await sms.sends(number))[0]["message_id"] for number in numbers]
    delivery = harness.delivery(sender)

    for message_id in ids[:16]:
        await delivery.deliver(message_id)
    await harness.review()
    await clear_of_the_edge(sms.pool, MINUTE)
    for message_id in ids[16:]:
        await delivery.deliver(message_id)

    assert len(sender.messages) == 16 + 3
    failures = [(await sms.sends(number))[0]["failure"] for number in numbers[16:]]
    assert failures == [""] * 3 + [PREFIX_BLOCKED] * 11


async def test_a_message_requested_after_the_throttling_takes_no_second_slot(sms: Sms) -> None:
    harness, number_range = await SpendingHarness(sms, make_plan(range=LOW_THRESHOLDS)).open(), random_range()
    await pump(harness, number_range, 16)
    await harness.review()
    await harness.age(seconds=10)  # the throttling began ten seconds ago
    await harness.gate.refresh()

    for last in range(100, 103):
        await send(harness, E164(f"{number_range}{last:04d}"))
        assert (await sms.sends(E164(f"{number_range}{last:04d}")))[0]["state"] == "sent"
