"""Messages that are claimed, or fail, in one batch: what one of them costs takes nothing from the others."""

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
from support.spending import CENT, Minding, a_plan, a_sender, block_of, clear_of_the_edge, number_in

from shared.phone import E164
from shared.postgres import url_of
from sms_service.delivery.delivery import LedgerMessage
from sms_service.senders.port import Message, Outcome, SendResult
from sms_service.spending.refusals import BUDGET_EXHAUSTED

PRICES = {"recorder": {"+1": 50 * CENT, "+86": CENT}}
"""Dear and cheap."""


@pytest.fixture
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        await clear_of_the_edge(sms.pool)
        yield sms


def american(place: int) -> E164:
    return E164(f"+1415555{place:04d}")


async def queue(sms: Sms, numbers: Sequence[E164]) -> list[UUID]:
    """Codes asked for, in this order; gives the messages that wait."""
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
        ("0.00", 0),  # none of them can be paid
        ("0.90", 1),  # each could be, by itself
        ("1.70", 3),
    ],
)
async def test_dear_messages_that_cannot_be_paid_take_no_room_from_others_of_their_batch(
    sms: Sms, left: str, paid: int
) -> None:
    mind = await Minding(sms, a_plan(("+", "10.00", None), ("+1", left, None), prices=PRICES)).open()
    dear, cheap = [american(place) for place in range(30)], [fresh_number() for _ in range(10)]
    ids = await queue(sms, [*dear, *cheap])
    delivery = mind.delivery(a_sender())

    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert await ended(sms, cheap) == {"sent": 10}
    assert await ended(sms, dear) == Counter({"sent": paid, BUDGET_EXHAUSTED: 30 - paid})
    assert await mind.spent("+1") == paid * 50 * CENT
    assert await mind.spent("+") == paid * 50 * CENT + 10 * CENT == await mind.paid([*dear, *cheap])


async def test_what_cannot_be_paid_is_asked_for_once(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    mind = await Minding(sms, a_plan(("+", "0.10", None), ("+1", "0.00", None), prices=PRICES)).open()
    numbers = [*(american(place) for place in range(30)), *(fresh_number() for _ in range(10))]
    ids, asked, claim = await queue(sms, numbers), list[UUID](), mind.ledger._claim_all

    async def counted(together: Sequence[tuple[LedgerMessage, str]]) -> Sequence[object]:
        asked.extend(entry.message_id for entry, _ in together)
        return await claim(together)

    monkeypatch.setattr(mind.ledger._claim, "_process", counted)
    delivery = mind.delivery(a_sender())
    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert await ended(sms, numbers) == {"sent": 10, BUDGET_EXHAUSTED: 30}
    assert sorted(asked) == sorted(ids)


async def test_the_last_money_of_a_budget_pays_for_all_that_it_can(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+", "1.03", None), prices=PRICES)).open()
    dear, cheap = [american(place) for place in range(9)], [fresh_number() for _ in range(5)]
    ids = await queue(sms, [*dear, *cheap])
    delivery = mind.delivery(a_sender())

    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert (await ended(sms, dear))["sent"] == 2
    assert (await ended(sms, cheap))["sent"] == 3
    assert await mind.spent("+") == 103 * CENT


async def entry_of(mind: Minding, message_id: UUID, sender: str, number: E164) -> LedgerMessage:
    """A queued message with what it would cost by a sender."""
    entry = await mind.ledger.find(message_id)
    assert entry is not None
    return replace(entry, segments=1, charge=mind.plan.tariff.charge(sender, number, 1))


async def test_of_two_commands_in_one_batch_the_one_whose_sender_is_recorded_has_the_message(sms: Sms) -> None:
    prices = {"one": {"+": CENT}, "two": {"+": 3 * CENT}}
    mind = await Minding(sms, a_plan(("+86", "1.00", None), prices=prices)).open()
    number = fresh_number()
    (message_id,) = await queue(sms, [number])
    entries = {sender: await entry_of(mind, message_id, sender, number) for sender in prices}

    claimed = await asyncio.gather(*(mind.ledger.claim(entry, sender) for sender, entry in entries.items()))

    (attempt,) = await sms.attempts(number)
    assert [entry.sender for entry in claimed if entry] == [attempt["sender"]] == ["one"]
    assert attempt["price"] == await mind.spent("+86") == CENT


async def test_messages_that_fail_together_are_given_back_together(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = a_plan(("+86", "9.00", "9.00"), ("+", "9.00", None))
    mind = await Minding(sms, plan).open()
    blocks = [block_of("+86138"), block_of("+86139")]
    refused, failed = [[number_in(blocks[place % 2]) for place in range(20)] for _ in range(2)]
    sent = [fresh_number() for _ in range(3)]
    ids = {number: (await queue(sms, [number]))[0] for number in {*refused, *failed, *sent}}
    batches = list[int]()
    take_back = mind.ledger._take_back_all

    async def counted(together: Sequence[tuple[LedgerMessage, int]]) -> list[None]:
        batches.append(len(together))
        return await take_back(together)

    monkeypatch.setattr(mind.ledger._take_back, "_process", counted)

    everybody = asyncio.Barrier(len(ids))

    class Moody(Recorder):
        async def send(self, message: Message) -> SendResult:
            await everybody.wait()
            moods = {Outcome.REFUSED: refused, Outcome.TRANSIENT: failed, Outcome.ACCEPTED: sent}
            return SendResult(next(mood for mood, numbers in moods.items() if message.to in numbers))

    delivery = mind.delivery(Moody())
    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids.values()))

    kept = len({*failed, *sent}) * CENT
    assert await mind.paid(list(ids)) == kept
    assert [await mind.spent("+86"), await mind.spent("+86", "day"), await mind.spent("+")] == [kept] * 3
    totals = await sms.pool.fetchrow("select sum(sent)::int as sent, sum(spent)::int as spent from prefix_traffic")
    assert tuple(totals) == (len(sent), kept)
    assert sum(batches) == len({*refused, *failed}) > 3 * len(batches)


async def test_a_batch_gives_back_only_what_was_taken_from_the_running_window(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "9.00", None))).open()
    numbers = [fresh_number() for _ in range(2)]
    ids, both = await queue(sms, numbers), asyncio.Barrier(2)
    earlier = "update attempts set started_at = started_at - interval '1 hour' where phone_ref = $1"

    class Refusing(Recorder):
        async def send(self, message: Message) -> SendResult:
            if message.to == numbers[0]:
                await sms.pool.execute(earlier, PHONES.ref(message.to))
            await both.wait()
            return SendResult(Outcome.REFUSED)

    delivery = mind.delivery(Refusing())
    await asyncio.gather(*(delivery.deliver(message_id) for message_id in ids))

    assert await mind.spent("+86") == CENT  # as if somebody else had spent it since
    assert await mind.paid(numbers) == 0


@pytest.mark.parametrize("others", [[], ["free"]], ids=["as it ends", "as it moves on"])
async def test_giving_back_waits_for_money_before_it_touches_what_is_counted(
    sms: Sms, postgres_url: str, others: list[str]
) -> None:
    mind = await Minding(sms, a_plan(("+86", "9.00", None))).open()
    (message_id,) = await queue(sms, [fresh_number()])
    url = url_of(postgres_url, sms.database)
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    other, third = await asyncpg.connect(url), await asyncpg.connect(url)

    class Refusing(Recorder):
        async def send(self, message: Message) -> SendResult:
            await other.execute("begin")
            await other.execute("select from budgets for update nowait")
            return await super().send(message)

    delivery = mind.delivery(Refusing(Outcome.REFUSED), *map(a_sender, others))
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
    assert await mind.spent("+86") == 0


async def test_a_message_whose_price_cannot_be_given_back_has_ended_all_the_same(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "9.00", None))).open()
    number = fresh_number()
    (message_id,) = await queue(sms, [number])
    labels = {"sender": "recorder", "outcome": "refused"}
    finished = REGISTRY.get_sample_value("haoma_messages_finished_total", labels) or 0

    class Breaking(Recorder):
        async def send(self, message: Message) -> SendResult:
            await sms.pool.execute("alter table prefix_traffic rename to elsewhere")
            return await super().send(message)

    with capture_logs() as logged:
        await mind.delivery(Breaking(Outcome.REFUSED)).deliver(message_id)

    assert await ended(sms, [number]) == {"refused": 1}
    assert REGISTRY.get_sample_value("haoma_messages_finished_total", labels) == finished + 1
    assert [line["event"] for line in logged][-2:] == ["spending.not_given_back", "message.failed"]
    assert [event["type"] for event in await sms.events(str(message_id))] == ["sms.message.failed.v1"]
    assert await mind.spent("+86") == CENT
