"""Messages that are claimed, or fail, in one batch: each is charged and refunded as if it were alone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from support.sms import PHONES, Recorder, Sms, asking, fresh_number, running
from support.spending import (
    CENT,
    SpendingHarness,
    clear_of_the_edge,
    make_plan,
    make_sender,
    random_number,
    random_range,
)

from shared.batching import Batcher
from shared.errors import unavailable
from shared.phone import E164
from shared.postgres import url_of
from sms_service.delivery.ledger import LedgerMessage
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult
from sms_service.spending.refusals import BUDGET_EXHAUSTED

PRICES = {"recorder": {"+1": 50 * CENT, "+86": CENT}}
"""Expensive in North America, cheap in China."""


@pytest.fixture
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        await clear_of_the_edge(sms.pool)
        yield sms


def american(place: int) -> E164:
    return E164(f"+1415555{place:04d}")


async def queue(sms: Sms, numbers: Sequence[E164]) -> list[UUID]:
    """Request codes in this order. Returns the ids of the queued messages."""
    codes = sms.codes()
    for number in numbers:
        await codes.issue(asking(number))
    return [(await sms.sends(number))[-1]["message_id"] for number in numbers]


async def ended(sms: Sms, numbers: Sequence[E164]) -> Counter[str]:
    rows = await sms.pool.fetch(
        "select state, failure from messages where phone_ref = any($1::bigint[])", PHONES.refs(numbers)
    )
    return Counter(row["failure"] or row["state"] for row in rows)


@pytest.mark.parametrize(
    ("left", "paid"),
    [
        ("0.00", 0),  # pays for none of them
        ("0.90", 1),  # pays for any one of them
        ("1.70", 3),
    ],
)
async def test_expensive_messages_over_budget_take_no_money_from_others_of_their_batch(
    sms: Sms, left: str, paid: int
) -> None:
    harness = await SpendingHarness(sms, make_plan(("+", "10.00", None), ("+1", left, None), prices=PRICES)).open()
    expensive, cheap = [american(place) for place in range(30)], [fresh_number() for _ in range(10)]
    ids = await queue(sms, [*expensive, *cheap])
    delivery = harness.delivery(make_sender())

    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert await ended(sms, cheap) == {"sent": 10}
    assert await ended(sms, expensive) == Counter({"sent": paid, BUDGET_EXHAUSTED: 30 - paid})
    assert await harness.spent("+1") == paid * 50 * CENT
    assert await harness.spent("+") == paid * 50 * CENT + 10 * CENT == await harness.paid([*expensive, *cheap])


async def test_a_message_over_budget_is_claimed_once(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = await SpendingHarness(sms, make_plan(("+", "0.10", None), ("+1", "0.00", None), prices=PRICES)).open()
    numbers = [*(american(place) for place in range(30)), *(fresh_number() for _ in range(10))]
    ids, claimed, claim = await queue(sms, numbers), list[UUID](), harness.ledger._claim_all

    async def counted(together: Sequence[tuple[LedgerMessage, str]]) -> Sequence[object]:
        claimed.extend(entry.message_id for entry, _ in together)
        return await claim(together)

    monkeypatch.setattr(harness.ledger, "_claim", Batcher(counted))
    delivery = harness.delivery(make_sender())
    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert await ended(sms, numbers) == {"sent": 10, BUDGET_EXHAUSTED: 30}
    assert sorted(claimed) == sorted(ids)


async def test_the_rest_of_a_budget_pays_for_as_many_messages_as_it_can(sms: Sms) -> None:
    harness = await SpendingHarness(sms, make_plan(("+", "1.03", None), prices=PRICES)).open()
    expensive, cheap = [american(place) for place in range(9)], [fresh_number() for _ in range(5)]
    ids = await queue(sms, [*expensive, *cheap])
    delivery = harness.delivery(make_sender())

    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert (await ended(sms, expensive))["sent"] == 2
    assert (await ended(sms, cheap))["sent"] == 3
    assert await harness.spent("+") == 103 * CENT


async def entry_of(harness: SpendingHarness, message_id: UUID, sender: str, number: E164) -> LedgerMessage:
    """A queued message with its cost at a sender."""
    entry = await harness.ledger.find_queued(message_id)
    assert entry is not None
    return replace(entry, segments=1, cost=harness.plan.tariff.cost(sender, number, 1))


async def test_of_two_commands_for_one_message_in_a_batch_the_first_claims_it(sms: Sms) -> None:
    prices = {"one": {"+": CENT}, "two": {"+": 3 * CENT}}
    harness = await SpendingHarness(sms, make_plan(("+86", "1.00", None), prices=prices)).open()
    number = fresh_number()
    (message_id,) = await queue(sms, [number])
    entries = {sender: await entry_of(harness, message_id, sender, number) for sender in prices}

    claimed = await asyncio.gather(*(harness.ledger.claim(entry, sender) for sender, entry in entries.items()))

    (attempt,) = await sms.attempts(number)
    assert [entry.sender for entry in claimed if entry] == [attempt["sender"]] == ["one"]
    assert attempt["price"] == await harness.spent("+86") == CENT


async def test_messages_that_fail_together_are_refunded_in_batches(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(("+86", "9.00", "9.00"), ("+", "9.00", None))
    harness = await SpendingHarness(sms, plan).open()
    number_ranges = [random_range("+86138"), random_range("+86139")]
    numbers = list({random_number(number_ranges[place % 2]) for place in range(80)})
    refused, failed = numbers[:20], numbers[20:40]
    sent = [fresh_number() for _ in range(3)]
    ids = {number: (await queue(sms, [number]))[0] for number in {*refused, *failed, *sent}}
    batches = list[int]()
    refund = harness.ledger._refund_all

    async def counted(together: Sequence[tuple[LedgerMessage, int]]) -> list[None]:
        batches.append(len(together))
        return await refund(together)

    monkeypatch.setattr(harness.ledger, "_refund", Batcher(counted))

    all_started = asyncio.Barrier(len(ids))

    class VaryingSender(Recorder):
        async def send(self, message: OutgoingMessage) -> SendResult:
            await all_started.wait()
            outcomes = {Outcome.REFUSED: refused, Outcome.TRANSIENT: failed, Outcome.ACCEPTED: sent}
            return SendResult(next(outcome for outcome, numbers in outcomes.items() if message.to in numbers))

    delivery = harness.delivery(VaryingSender())
    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids.values()))

    kept = len({*failed, *sent}) * CENT
    assert await harness.paid(list(ids)) == kept
    assert [await harness.spent("+86"), await harness.spent("+86", "day"), await harness.spent("+")] == [kept] * 3
    totals = await sms.pool.fetchrow("select sum(sent)::int as sent, sum(spent)::int as spent from prefix_traffic")
    assert tuple(totals) == (len(sent), kept)
    assert sum(batches) == len({*refused, *failed}) > 3 * len(batches)


async def test_a_batch_refunds_only_what_the_running_window_paid(sms: Sms) -> None:
    harness = await SpendingHarness(sms, make_plan(("+86", "9.00", None))).open()
    numbers = [fresh_number() for _ in range(2)]
    ids, both = await queue(sms, numbers), asyncio.Barrier(2)
    earlier = "update attempts set started_at = started_at - interval '1 hour' where phone_ref = $1"

    class Refusing(Recorder):
        async def send(self, message: OutgoingMessage) -> SendResult:
            if message.to == numbers[0]:
                await sms.pool.execute(earlier, PHONES.ref(message.to))
            await both.wait()
            return SendResult(Outcome.REFUSED)

    delivery = harness.delivery(Refusing())
    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert await harness.spent("+86") == CENT  # the other refund belongs to the hour before
    assert await harness.paid(numbers) == 0


@pytest.mark.parametrize("others", [[], ["free"]], ids=["at the end", "at failover"])
async def test_a_refund_locks_the_budget_before_the_traffic(sms: Sms, postgres_url: str, others: list[str]) -> None:
    harness = await SpendingHarness(sms, make_plan(("+86", "9.00", None))).open()
    (message_id,) = await queue(sms, [fresh_number()])
    url = url_of(postgres_url, sms.database)
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    other, third = await asyncpg.connect(url), await asyncpg.connect(url)

    class Refusing(Recorder):
        async def send(self, message: OutgoingMessage) -> SendResult:
            await other.execute("begin")
            await other.execute("select from budgets for update nowait")
            return await super().send(message)

    delivery = harness.delivery(Refusing(Outcome.REFUSED), *map(make_sender, others))
    failing = asyncio.create_task(delivery.deliver(message_id))
    try:
        async with asyncio.timeout(30):
            while not await third.fetchval(waits):
                await asyncio.sleep(0)
        assert len(await third.fetch("select from prefix_traffic for update nowait")) == 1
        await other.execute("rollback")
        await failing
    finally:
        await other.close()
        await third.close()
    assert await harness.spent("+86") == 0


async def test_a_refund_that_was_rolled_back_is_tried_again(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = await SpendingHarness(sms, make_plan(("+86", "9.00", None))).open()
    number = fresh_number()
    (message_id,) = await queue(sms, [number])
    refund, tries = harness.ledger._refund_all, Counter[str]()

    async def rolled_back_once(refunds: Sequence[tuple[LedgerMessage, int]]) -> list[None]:
        tries["refund"] += 1
        if tries["refund"] == 1:
            raise unavailable() from asyncpg.DeadlockDetectedError("deadlock detected")
        return await refund(refunds)

    monkeypatch.setattr(harness.ledger, "_refund", Batcher(rolled_back_once))
    with capture_logs() as logged:
        await harness.delivery(Recorder(Outcome.REFUSED)).deliver(message_id)

    assert tries["refund"] == 2
    assert "cost.not_refunded" not in [line["event"] for line in logged]
    assert await harness.spent("+86") == 0 == await harness.paid([number])


async def test_a_message_ends_even_if_its_refund_fails(sms: Sms) -> None:
    harness = await SpendingHarness(sms, make_plan(("+86", "9.00", None))).open()
    number = fresh_number()
    (message_id,) = await queue(sms, [number])
    labels = {"sender": "recorder", "outcome": "refused"}
    finished = REGISTRY.get_sample_value("haoma_messages_finished_total", labels) or 0

    class Breaking(Recorder):
        async def send(self, message: OutgoingMessage) -> SendResult:
            await sms.pool.execute("alter table prefix_traffic rename to elsewhere")
            return await super().send(message)

    with capture_logs() as logged:
        await harness.delivery(Breaking(Outcome.REFUSED)).deliver(message_id)

    assert await ended(sms, [number]) == {"refused": 1}
    assert REGISTRY.get_sample_value("haoma_messages_finished_total", labels) == finished + 1
    assert [line["event"] for line in logged][-2:] == ["cost.not_refunded", "message.failed"]
    assert [event["type"] for event in await sms.events(str(message_id))] == ["sms.message.failed.v1"]
    assert await harness.spent("+86") == CENT
