"""The few messages a minute of a slowed prefix: over all processes, and each place taken for something."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from support.patience import until_taken
from support.sms import Sms, asking, process, refusal, running
from support.spending import (
    MINUTE,
    SOON,
    Minding,
    a_plan,
    a_sender,
    block_of,
    clear_of_the_edge,
    outcome,
    pump,
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


async def test_a_slowed_prefix_is_given_a_few_a_minute_over_all_processes(sms: Sms, postgres_url: str) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump(mind, block, 16)
    await mind.look()
    assert (await mind.stages(f"range:{block}"))[-1] == "slowed"

    async with process(postgres_url, sms.database) as other:
        second = Minding(other, mind.plan)
        await second.watch.refresh()
        await clear_of_the_edge(sms.pool, MINUTE)
        numbers = [E164(f"{block}{last:04d}") for last in range(100, 130)]
        asked = [
            until_taken(partial(each.codes().issue, asking(number)))
            for number, each in zip(numbers, [mind, second] * 15, strict=True)
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, BlockedError)]
    assert len(answers) - len(refused) == 3
    assert all(1 <= (error.retry_after or 0) <= 60 for error in refused)
    await mind.age(minutes=1)
    mind.watch._full.clear()  # what it remembers of the minute that is over
    assert await mind.codes().issue(asking(numbers[-1]))


async def admitted(sms: Sms) -> dict[str, int]:
    """How many places of this minute are taken, by slowed scope."""
    rows = await sms.pool.fetch("select scope, admitted from prefix_stages where stage = 2")
    return {row["scope"]: row["admitted"] for row in rows}


async def test_who_races_on_one_number_takes_one_place_of_a_slowed_prefix(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON | {"per_minute": 20})).open(), block_of()
    await pump(mind, block, 16)
    await mind.look()
    await clear_of_the_edge(sms.pool, MINUTE)
    codes, number = mind.codes(), E164(f"{block}7000")

    answers = await asyncio.gather(
        *(until_taken(lambda: codes.issue(asking(number))) for _ in range(12)), return_exceptions=True
    )

    assert [type(answer) for answer in answers].count(CodeIssued) == 1
    assert {answer.code for answer in answers if isinstance(answer, ServiceError)} == {ErrorCode.COOLDOWN}
    assert await admitted(sms) == {f"range:{block}": 1}


async def test_who_is_refused_by_one_of_two_slowed_prefixes_takes_no_place_of_the_other(sms: Sms) -> None:
    plan = a_plan(range=SOON, network={"record": 4, "slow": 8, "stop": 0, "per_minute": 2})
    mind, block = await Minding(sms, plan).open(), block_of()
    await pump(mind, block, 16)
    await mind.look()
    await clear_of_the_edge(sms.pool, MINUTE)

    codes = mind.codes()
    answers = [await outcome(mind, E164(f"{block}{last}")) for last in range(7000, 7004)]
    other = Minding(sms, mind.plan)  # which does not remember that the minute is full
    await other.watch.refresh()
    assert isinstance(await refusal(other.codes().issue(asking(E164(f"{block}7005")))), BlockedError)
    assert isinstance(await refusal(codes.issue(asking(E164(f"{block}7006")))), BlockedError)

    assert answers == [None, None, ErrorCode.SENDING_PAUSED, ErrorCode.SENDING_PAUSED]
    assert await admitted(sms) == {f"range:{block}": 2, "network:+86138": 2}


async def test_what_was_queued_before_the_slowing_waits_for_the_same_few_a_minute(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    codes, sender = mind.codes(), a_sender()
    numbers = [E164(f"{block}{last:04d}") for last in range(30)]
    for number in numbers:
        await codes.issue(asking(number))
    ids = [(await sms.sends(number))[0]["message_id"] for number in numbers]
    delivery = mind.delivery(sender)

    for message_id in ids[:16]:
        await delivery.deliver(message_id)
    await mind.look()
    await clear_of_the_edge(sms.pool, MINUTE)
    for message_id in ids[16:]:
        await delivery.deliver(message_id)

    assert len(sender.messages) == 16 + 3
    failures = [(await sms.sends(number))[0]["failure"] for number in numbers[16:]]
    assert failures == [""] * 3 + [PREFIX_BLOCKED] * 11


async def test_who_asked_after_the_slowing_was_counted_then_and_is_not_counted_again(sms: Sms) -> None:
    mind, block = await Minding(sms, a_plan(range=SOON)).open(), block_of()
    await pump(mind, block, 16)
    await mind.look()
    await mind.age(seconds=10)  # since when it is slowed
    await mind.watch.refresh()

    for last in range(100, 103):
        await send(mind, E164(f"{block}{last:04d}"))
        assert (await sms.sends(E164(f"{block}{last:04d}")))[0]["state"] == "sent"
