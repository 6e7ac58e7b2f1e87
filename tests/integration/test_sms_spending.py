"""Money on a real ledger: never more than the budget, whoever races, and nothing for what never left."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest
from support.patience import until_taken
from support.sms import PHONES, Recorder, Sms, asking, entering, fresh_number, process, running
from support.spending import CENT, Minding, a_plan, a_sender, block_of, clear_of_the_edge, number_in

from shared.phone import E164
from shared.postgres import url_of
from sms_service.delivery.delivery import Delivery
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult
from sms_service.spending.refusals import BUDGET_EXHAUSTED


@pytest.fixture
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        await clear_of_the_edge(sms.pool)
        yield sms


async def queue(sms: Sms, number: E164) -> UUID:
    """A code asked for; gives the message that waits."""
    await sms.codes().issue(asking(number))
    return (await sms.sends(number))[-1]["message_id"]


async def endings(sms: Sms, numbers: Sequence[E164]) -> list[str]:
    """How the messages of some numbers ended: the failure, or the state."""
    statement = "select state, failure from messages where phone_ref = any($1::bigint[]) order by message_id"
    rows = await sms.pool.fetch(statement, PHONES.refs(numbers))
    return [row["failure"] or row["state"] for row in rows]


async def test_workers_that_race_spend_no_more_than_the_budget(sms: Sms, postgres_url: str) -> None:
    plan = a_plan(("+86", "0.37", None), ("+", None, "9.00"))
    numbers = [fresh_number() for _ in range(200)]
    ids = [await queue(sms, number) for number in numbers]
    sender, twice = a_sender(), [*ids, *reversed(ids)]

    async with process(postgres_url, sms.database) as other:
        workers = [(await Minding(each, plan).open()).delivery(sender) for each in (sms, sms, other, other)]
        await asyncio.gather(*(workers[place % 4].deliver(message_id) for place, message_id in enumerate(twice)))

    mind = Minding(sms, plan)
    assert len(sender.messages) == 37
    assert await mind.spent("+86") == await mind.spent("+", "day") == await mind.paid(numbers) == 37 * CENT
    ended = await endings(sms, numbers)
    assert (ended.count("sent"), ended.count(BUDGET_EXHAUSTED)) == (37, 163)


async def test_batches_that_race_lock_budgets_in_one_order(sms: Sms, postgres_url: str) -> None:
    mind = await Minding(sms, a_plan(("+86", "1.00", None), ("+", "1.00", None))).open()
    message_id = await queue(sms, fresh_number())
    lock = "select from budgets where prefix = $1 for update nowait"
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

    other = await asyncpg.connect(url_of(postgres_url, sms.database))
    try:
        async with other.transaction():
            await other.execute(lock, "+")
            claiming = asyncio.create_task(mind.delivery(a_sender()).deliver(message_id))
            async with asyncio.timeout(30):
                while not await sms.pool.fetchval(waits):
                    await asyncio.sleep(0)
            await other.execute(lock, "+86")  # which was written down first, and has not been taken
        await claiming
    finally:
        await other.close()
    assert await mind.spent("+86") == await mind.spent("+") == CENT


async def test_each_budget_of_a_number_is_charged_and_the_tightest_decides(sms: Sms) -> None:
    block = block_of()
    plan = a_plan((block, "0.02", "0.10"), ("+86", "0.03", None), ("+1", "5.00", None))
    mind = await Minding(sms, plan).open()
    delivery = mind.delivery(a_sender())
    inside, outside = [number_in(block) for _ in range(3)], [number_in("+861991111") for _ in range(2)]

    for number in (*inside, *outside):
        await delivery.deliver(await queue(sms, number))

    assert await endings(sms, inside) == ["sent", "sent", BUDGET_EXHAUSTED]
    assert await endings(sms, outside) == ["sent", BUDGET_EXHAUSTED]
    assert (await mind.spent(block), await mind.spent(block, "day")) == (2 * CENT, 2 * CENT)
    assert (await mind.spent("+86"), await mind.spent("+1")) == (3 * CENT, 0)


async def test_a_text_is_paid_by_its_segments_and_the_longest_prefix_has_the_price(sms: Sms) -> None:
    plan = a_plan(("+", "1.00", None), prices={"recorder": {"+": CENT, "+86": 3 * CENT}})
    mind = await Minding(sms, plan).open()
    sender, number = a_sender(), fresh_number()

    await mind.delivery(sender).deliver(await queue(sms, number))

    (message,), (attempt,) = sender.messages, await sms.attempts(number)
    assert attempt["price"] == message.segments * 3 * CENT == await mind.spent("+")


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (Outcome.MISCONFIGURED, 0),
        (Outcome.REFUSED, 0),
        (Outcome.RATE_LIMITED, 0),
        (Outcome.TRANSIENT, CENT),
        (Outcome.PERMANENT, CENT),
        (Outcome.INVALID_NUMBER, CENT),
        (RuntimeError("a bug"), CENT),
    ],
)
async def test_only_what_a_provider_turned_away_at_its_door_is_given_back(
    sms: Sms, outcome: Outcome | Exception, kept: int
) -> None:
    mind = await Minding(sms, a_plan(("+86", "1.00", "1.00"))).open()
    number = fresh_number()

    await mind.delivery(a_sender(outcome=outcome)).deliver(await queue(sms, number))

    assert (await mind.spent("+86"), await mind.spent("+86", "day"), await mind.paid([number])) == (kept,) * 3
    traffic = await sms.pool.fetchrow("select sent, spent from prefix_traffic")
    assert (traffic["sent"], traffic["spent"]) == (0, kept)  # what did not leave says nothing of its prefix


async def test_what_a_dead_worker_may_have_sent_stays_charged(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "1.00", None))).open()
    number, taken = fresh_number(), asyncio.Event()

    class Stuck(Recorder):
        async def send(self, message: OutgoingMessage) -> SendResult:
            self.messages.append(message)
            taken.set()
            return await asyncio.get_running_loop().create_future()

    dying = asyncio.create_task(mind.delivery(Stuck()).deliver(await queue(sms, number)))
    await taken.wait()
    dying.cancel()
    await asyncio.wait({dying})
    await sms.age(number, seconds=31)
    await mind.delivery(a_sender()).sweep()

    assert await endings(sms, [number]) == ["abandoned"]
    assert await mind.spent("+86") == CENT


async def test_money_is_given_back_to_the_window_it_was_taken_from_and_no_other(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "1.00", None))).open()
    later = await Minding(sms, mind.plan).open()

    class NextHour(Recorder):
        async def send(self, message: OutgoingMessage) -> SendResult:
            await mind.age(hours=1)
            await sms.pool.execute("update attempts set started_at = started_at - interval '1 hour'")
            await later.delivery(a_sender()).deliver(await queue(sms, fresh_number()))
            return await super().send(message)

    await mind.delivery(NextHour(Outcome.REFUSED)).deliver(await queue(sms, fresh_number()))

    assert await mind.spent("+86") == CENT


async def test_a_new_hour_has_new_money_and_the_day_goes_on(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "0.01", "0.02"))).open()
    delivery = mind.delivery(a_sender())
    numbers = [fresh_number() for _ in range(4)]

    for number in numbers:
        message_id = await queue(sms, number)
        if number == numbers[2]:
            await sms.pool.execute("update budgets set starts_at = starts_at - interval '1 hour' where span = 'hour'")
        await delivery.deliver(message_id)

    assert await endings(sms, numbers) == ["sent", BUDGET_EXHAUSTED, "sent", BUDGET_EXHAUSTED]
    assert (await mind.spent("+86"), await mind.spent("+86", "day")) == (CENT, 2 * CENT)


async def test_without_money_for_one_sender_a_cheaper_one_is_asked(sms: Sms) -> None:
    prices = {"dear": {"+": 5 * CENT}, "dearer": {"+": 9 * CENT}, "cheap": {"+": CENT}}
    mind = await Minding(sms, a_plan(("+86", "0.06", None), prices=prices)).open()
    senders = [a_sender(name) for name in prices]
    numbers = [fresh_number() for _ in range(3)]

    for number in numbers:
        await mind.delivery(*senders).deliver(await queue(sms, number))

    assert [len(sender.messages) for sender in senders] == [1, 0, 1]
    assert await endings(sms, numbers) == ["sent", "sent", BUDGET_EXHAUSTED]
    assert await mind.spent("+86") == 6 * CENT


@pytest.mark.parametrize(
    ("budget", "first", "asked", "spent"),
    [
        ("1.00", Outcome.TRANSIENT, 2, 3 * CENT),
        ("1.00", Outcome.REFUSED, 2, 2 * CENT),
        ("0.02", Outcome.TRANSIENT, 1, CENT),
        ("0.02", Outcome.REFUSED, 2, 2 * CENT),
    ],
)
async def test_a_second_sender_is_paid_from_what_is_left(
    sms: Sms, budget: str, first: Outcome, asked: int, spent: int
) -> None:
    plan = a_plan(("+86", budget, None), prices={"one": {"+": CENT}, "two": {"+": 2 * CENT}})
    mind = await Minding(sms, plan).open()
    one, two, number = a_sender("one", outcome=first), a_sender("two"), fresh_number()

    await mind.delivery(one, two).deliver(await queue(sms, number))

    assert len(one.messages) + len(two.messages) == asked
    assert await mind.spent("+86") == await mind.paid([number]) == spent
    assert await endings(sms, [number]) == ["sent" if asked == 2 else first.value]
    assert await sms.pool.fetchval("select spent from prefix_traffic") == spent


async def test_a_number_without_a_route_costs_nothing_and_is_not_counted(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+", "1.00", None))).open()
    sender, number = a_sender(), E164("+85261234567")

    await mind.delivery(sender, prefix="+86").deliver(await queue(sms, number))

    assert sender.messages == []
    assert await endings(sms, [number]) == ["no_route"]
    assert (await mind.spent("+"), await sms.attempts(number)) == (0, [])
    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 0


async def test_a_command_that_comes_twice_is_paid_once(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "1.00", None))).open()
    sender, number = a_sender(), fresh_number()
    message_id, delivery = await queue(sms, number), mind.delivery(sender)

    await asyncio.gather(*(delivery.deliver(message_id) for _ in range(10)))

    assert len(sender.messages) == 1
    assert await mind.spent("+86") == CENT == await mind.paid([number])


async def test_a_budget_whose_row_is_gone_pays_nothing_until_it_is_back(sms: Sms) -> None:
    mind = await Minding(sms, a_plan(("+86", "1.00", None))).open()
    await sms.pool.execute("delete from budgets")
    numbers = [fresh_number() for _ in range(2)]
    delivery: Delivery = mind.delivery(a_sender())

    await delivery.deliver(await queue(sms, numbers[0]))
    await mind.judge.judge()
    await delivery.deliver(await queue(sms, numbers[1]))

    assert await endings(sms, numbers) == [BUDGET_EXHAUSTED, "sent"]


async def test_without_a_plan_nothing_is_priced_or_counted(sms: Sms) -> None:
    number = fresh_number()
    await sms.delivery(a_sender()).deliver(await queue(sms, number))

    assert [attempt["price"] for attempt in await sms.attempts(number)] == [0]
    assert await sms.pool.fetchval("select count(*) from prefix_traffic") == 0


@dataclass
class Moody:
    """A sender that takes, refuses or breaks, as a number has it."""

    name: str

    async def send(self, message: OutgoingMessage) -> SendResult:
        moods = (Outcome.ACCEPTED, Outcome.REFUSED, Outcome.TRANSIENT, Outcome.RATE_LIMITED, Outcome.INVALID_NUMBER)
        return SendResult(moods[int(message.to[-3:]) % (5 if self.name == "one" else 4)])


async def test_whatever_happens_at_once_budgets_and_attempts_say_the_same(sms: Sms, postgres_url: str) -> None:
    prices = {"one": {"+": CENT}, "two": {"+": 3 * CENT}}
    plan = a_plan(("+86", "1.30", "1.20"), ("+8613", None, "1.10"), ("+", "9.00", None), prices=prices)
    blocks = [block_of() for _ in range(4)]
    numbers = list({number_in(blocks[place % 4]) for place in range(240)})
    async with process(postgres_url, sms.database) as other:
        minds = [await Minding(each, plan).open() for each in (sms, other) * 2]
        workers = [mind.delivery(Moody("one"), Moody("two")) for mind in minds]

        async def live(place: int, number: E164) -> None:
            issued = await until_taken(lambda: minds[place % 4].codes().issue(asking(number)))
            (row,) = await sms.sends(number)
            await asyncio.gather(*(worker.deliver(row["message_id"]) for worker in workers[:2]))
            await until_taken(lambda: minds[place % 3].codes().check(entering(number, issued.code)))

        await asyncio.gather(*(live(place, number) for place, number in enumerate(numbers)))

    paid = await minds[0].paid(numbers)
    assert await minds[0].spent("+86") == await minds[0].spent("+8613", "day") == await minds[0].spent("+") == paid
    assert 0 < paid <= 1_100_000  # less than could be: what is given back was room that others were refused
    counted = await sms.pool.fetchrow("select sum(sent)::int, sum(verified)::int, sum(spent)::int from prefix_traffic")
    sent = await sms.pool.fetchval("select count(*)::int from messages where state = 'sent'")
    assert tuple(counted) == (sent, len(numbers), paid)
