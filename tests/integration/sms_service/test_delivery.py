"""Delivery on a real ledger: a message is sent at most once, never after its code has expired, and always has an event."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs
from support.sms import (
    KEYS,
    MESSAGES,
    PHONES,
    SEAL,
    Recorder,
    SilentRelay,
    Sms,
    asking,
    entering,
    fresh_number,
    process,
    running,
)

from shared.amqp import Handler
from shared.events.envelope import OutboxMessage
from shared.internal_api.sms import CodeIssued
from shared.keys import KeyRing
from shared.phone import E164
from shared.postgres import url_of
from sms_service.delivery import sender_pool as sender_pool_module
from sms_service.delivery.consumer import handler
from sms_service.delivery.delivery import Delivery, final_event
from sms_service.delivery.ledger import ABANDONED, ABANDONED_AFTER, FinalState, LedgerMessage, MessageState
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.delivery.sender_pool import SenderPool
from sms_service.operators.activity_store import NumberActivityStore
from sms_service.otp import CodeDeriver
from sms_service.relay import HANDED_KEYS
from sms_service.retention import purge
from sms_service.retention_store import RetentionStore
from sms_service.send_command import SEND_QUEUE, without_messages
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


async def queued(sms: Sms) -> tuple[E164, UUID, CodeIssued]:
    """A message that is queued for a worker."""
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    (row,) = await sms.sends(number)
    return number, row["message_id"], issued


async def final(sms: Sms, message_id: UUID) -> tuple[str, str, dict[str, Any]]:
    """The final state of a message, its failure, and its one event."""
    row = await sms.pool.fetchrow("select * from messages where message_id = $1", message_id)
    assert row["phone_sealed"] is None
    assert row["finished_at"] is not None
    (event,) = await sms.events(str(message_id))
    assert event["version"] == row["version"]
    return row["state"], row["failure"], event


async def lock_wait(sms: Sms) -> None:
    """Return when a statement in this database waits for a row."""
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while not await sms.pool.fetchval(waits):
            await asyncio.sleep(0)


class Stuck(Recorder):
    """A sender that gets the message and never returns."""

    def __init__(self) -> None:
        super().__init__()
        self.started = asyncio.Event()

    async def send(self, message: OutgoingMessage) -> SendResult:
        await super().send(message)
        self.started.set()
        return await asyncio.get_running_loop().create_future()


async def test_a_message_brings_the_code_to_the_number_and_has_an_event(sms: Sms) -> None:
    number, message_id, issued = await queued(sms)
    sender = Recorder()

    await sms.delivery(sender).deliver(message_id)

    (message,) = sender.messages
    assert (message.to, message.code) == (number, issued.code)
    assert issued.code in message.text
    assert "5 分钟" in message.text
    state, failure, event = await final(sms, message_id)
    assert (state, failure, event["type"]) == ("sent", "", "sms.message.sent.v1")
    assert event["data"]["sender"] == "recorder"
    assert event["data"]["verification_id"] == str(issued.verification_id)
    assert 0 <= event["data"]["latency_ms"] < 60_000


async def test_the_event_of_a_sent_message_is_handed_over_as_it_was_committed(sms: Sms) -> None:
    _, message_id, _ = await queued(sms)
    handed: list[OutboxMessage] = []
    delivery = Delivery(LedgerStore(sms.pool), SenderPool.of_one(Recorder()), sms.deriver, SEAL, handed.extend)
    await asyncio.gather(*(delivery.deliver(message_id) for _ in range(2)))

    (event,) = handed
    assert event.routing_key in HANDED_KEYS
    row = await sms.pool.fetchrow("select exchange, routing_key, body from outbox where id = $1", event.id)
    assert tuple(row) == (event.exchange, event.routing_key, event.body)


async def test_the_text_of_a_repeated_message_states_the_minutes_that_remain(sms: Sms) -> None:
    number, first, issued = await queued(sms)
    sender = Recorder()
    await sms.delivery(sender).deliver(first)
    await sms.age(number, seconds=130)
    await sms.codes().issue(asking(number))
    await sms.delivery(sender).deliver((await sms.sends(number))[1]["message_id"])

    assert [message.code for message in sender.messages] == [issued.code] * 2
    assert "3 分钟" in sender.messages[1].text


async def test_a_command_that_is_delivered_twice_sends_once(sms: Sms, postgres_url: str) -> None:
    _, message_id, _ = await queued(sms)
    sender = Recorder()

    async with process(postgres_url, sms.database) as other:
        await asyncio.gather(*(worker.delivery(sender).deliver(message_id) for worker in (sms, other) * 10))
    await sms.delivery(sender).deliver(message_id)

    assert len(sender.messages) == 1
    assert (await final(sms, message_id))[0] == "sent"


class UnreadLedger(LedgerStore):
    """A ledger from which no queued message can be read."""

    async def find_queued(self, message_id: UUID) -> LedgerMessage | None:
        raise AssertionError(f"{message_id} was read")


class Commands(SilentRelay):
    """A relay that keeps the commands that are handed over."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def hand_over(self, messages: Iterable[OutboxMessage]) -> None:
        self.bodies += [message.body for message in messages if message.routing_key == SEND_QUEUE]


def unread(sms: Sms, sender: Recorder) -> Handler:
    """A worker's handler that can send only what its commands carry."""
    delivery = Delivery(UnreadLedger(sms.pool), SenderPool.of_one(sender), sms.deriver, SEAL, SilentRelay().hand_over)
    return handler(delivery, MESSAGES)


async def test_the_first_message_of_a_number_is_sent_as_its_command_carries_it_and_once(sms: Sms) -> None:
    number, relay, sender = fresh_number(), Commands(), Recorder()
    issued = await sms.codes(relay=relay).issue(asking(number))
    (command,) = relay.bodies

    await asyncio.gather(*(unread(sms, sender)(command) for _ in range(3)))

    (message,) = sender.messages
    assert (message.to, message.code) == (number, issued.code)
    assert "5 分钟" in message.text
    (row,) = await sms.sends(number)
    assert (await final(sms, row["message_id"]))[0] == "sent"
    stored = "select body from outbox where routing_key = $1 and position($2 in convert_from(body, 'UTF8')) > 0"
    kept = await sms.pool.fetchval(stored, SEND_QUEUE, str(row["message_id"]))
    assert (kept, kept != command) == (without_messages(command), True)


async def test_a_message_whose_number_had_another_one_today_is_read_from_the_ledger(sms: Sms) -> None:
    number, relay = fresh_number(), Commands()
    codes = sms.codes(relay=relay)
    await codes.issue(asking(number))
    await sms.age(number, minutes=10)
    await codes.issue(asking(number))
    await sms.pool.execute("update number_activity set sends = '{}' where phone_ref = $1", PHONES.ref(number))
    await codes.issue(asking(number))
    assert [without_messages(body) == body for body in relay.bodies] == [False, True, True]


async def test_a_message_that_expired_after_its_command_left_is_not_sent(sms: Sms) -> None:
    number, relay, sender = fresh_number(), Commands(), Recorder()
    await sms.codes(relay=relay).issue(asking(number))
    await sms.pool.execute("update messages set expires_at = now() where phone_ref = $1", PHONES.ref(number))
    await unread(sms, sender)(relay.bodies[0])
    assert sender.messages == []


async def test_a_command_for_an_unknown_message_sends_nothing(sms: Sms) -> None:
    sender = Recorder()
    await sms.delivery(sender).deliver(uuid4())
    assert sender.messages == []


async def test_nothing_is_sent_after_the_code_has_expired(sms: Sms) -> None:
    number, message_id, _ = await queued(sms)
    await sms.age(number, minutes=5)
    sender = Recorder()

    await sms.delivery(sender).deliver(message_id)

    assert sender.messages == []
    state, failure, event = await final(sms, message_id)
    assert (state, failure, event["type"]) == ("expired", "", "sms.message.expired.v1")
    assert event["data"]["latency_ms"] >= 300_000


async def test_the_sweep_ends_queued_messages_whose_code_has_expired(sms: Sms) -> None:
    number, message_id, _ = await queued(sms)
    delivery = sms.delivery(Recorder())
    await delivery.sweep()
    assert (await sms.sends(number))[0]["state"] == "queued"
    await sms.age(number, minutes=5)

    await delivery.sweep()

    assert (await final(sms, message_id))[0] == "expired"
    assert await delivery.sweep() == 0


async def test_a_worker_that_dies_between_claim_and_record_never_sends_twice(sms: Sms) -> None:
    number, message_id, _ = await queued(sms)
    stuck, other = Stuck(), Recorder()
    dying = asyncio.create_task(sms.delivery(stuck).deliver(message_id))
    await stuck.started.wait()
    dying.cancel()
    await asyncio.wait({dying})

    await sms.delivery(other).deliver(message_id)
    await sms.delivery(other).sweep()
    assert (await sms.sends(number))[0]["state"] == "sending"
    await sms.age(number, seconds=ABANDONED_AFTER.total_seconds())
    await sms.delivery(other).sweep()
    await sms.delivery(other).deliver(message_id)

    assert (len(stuck.messages), other.messages) == (1, [])
    state, failure, event = await final(sms, message_id)
    assert (state, failure, event["type"]) == ("failed", "abandoned", "sms.message.failed.v1")


async def test_concurrent_sweeps_publish_one_event_for_each_message(sms: Sms) -> None:
    message_ids = []
    for _ in range(5):
        number, message_id, _ = await queued(sms)
        await sms.age(number, minutes=5)
        message_ids.append(message_id)

    await asyncio.gather(*(sms.delivery(Recorder()).sweep() for _ in range(8)))

    assert {(await final(sms, message_id))[0] for message_id in message_ids} == {"expired"}


@pytest.mark.parametrize("act", ["claim", "finish"])
async def test_overlapping_batches_of_two_workers_lock_their_messages_in_one_order(
    sms: Sms, act: str, postgres_url: str
) -> None:
    ledger = LedgerStore(sms.pool)
    ids = sorted([(await queued(sms))[1] for _ in range(2)])
    queued_messages = [await ledger.find_queued(message_id) for message_id in ids]
    messages = [message for message in queued_messages if message is not None]
    if act == "finish":
        messages = [claimed for message in messages if (claimed := await ledger.claim(message, "recorder"))]
    # A statement that locks rows in the order of its arguments, of the table or of their age now locks the second first.
    await sms.pool.execute("update messages set created_at = now() where message_id = $1", ids[0])
    lock = "select from messages where message_id = $1 for update nowait"

    async def change(message: LedgerMessage) -> object:
        if act == "claim":
            return await ledger.claim(message, "recorder")
        sent = FinalState(MessageState.SENT)
        return await ledger.finish(message, sent, final_event(message, sent, timedelta()))

    other = await asyncpg.connect(url_of(postgres_url, sms.database))
    try:
        async with other.transaction():
            await other.execute(lock, ids[0])
            batch = asyncio.gather(*map(change, reversed(messages)))
            await lock_wait(sms)
            await other.execute(lock, ids[1])  # the batch has it first in its arguments, and has not locked it
        assert all(await batch)
    finally:
        await other.close()


async def test_a_worker_that_resumes_after_the_sweep_changes_nothing(sms: Sms) -> None:
    number, message_id, _ = await queued(sms)
    ledger = LedgerStore(sms.pool)
    message = await ledger.find_queued(message_id)
    assert message is not None
    claimed = await ledger.claim(message, "recorder")
    assert claimed is not None
    await sms.age(number, seconds=31)
    await sms.delivery(Recorder()).sweep()

    await sms.delivery(Recorder())._record(claimed, FinalState(MessageState.SENT), timedelta())

    assert (await final(sms, message_id))[:2] == ("failed", "abandoned")


async def test_of_two_final_states_of_a_message_in_one_batch_only_the_recorded_one_has_an_effect(sms: Sms) -> None:
    _, message_id, _ = await queued(sms)
    ledger, handed = LedgerStore(sms.pool), list[OutboxMessage]()
    delivery = Delivery(ledger, SenderPool.of_one(Recorder()), sms.deriver, SEAL, handed.extend)
    message = await ledger.find_queued(message_id)
    assert message is not None
    claimed = await ledger.claim(message, "recorder")
    assert claimed is not None

    with capture_logs() as logs:
        await asyncio.gather(
            delivery._record(claimed, FinalState(MessageState.FAILED, ABANDONED), timedelta()),
            delivery._record(claimed, FinalState(MessageState.SENT), timedelta()),
        )

    state, _, recorded = await final(sms, message_id)
    assert [str(event.id) for event in handed] == [recorded["id"]]
    assert sorted(line["event"] for line in logs) == sorted([f"message.{state}", "message.finished_elsewhere"])


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.ACCEPTED])
async def test_every_refusal_of_a_sender_is_recorded_with_an_event(sms: Sms, outcome: Outcome) -> None:
    _, message_id, _ = await queued(sms)

    await sms.delivery(Recorder(outcome)).deliver(message_id)

    state, failure, event = await final(sms, message_id)
    assert (state, failure, event["type"]) == ("failed", outcome.value, "sms.message.failed.v1")
    assert event["data"]["failure"] == outcome.value


async def test_a_sender_that_raises_is_a_failure_and_is_not_tried_again(sms: Sms) -> None:
    _, message_id, _ = await queued(sms)
    broken = Recorder(RuntimeError("a bug"))

    await sms.delivery(broken).deliver(message_id)
    await sms.delivery(broken).deliver(message_id)

    assert len(broken.messages) == 1
    assert (await final(sms, message_id))[:2] == ("failed", "transient")


async def test_a_sender_that_does_not_return_is_a_failure_after_its_deadline(
    sms: Sms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_pool_module, "SEND_SECONDS", 0.05)
    _, message_id, _ = await queued(sms)

    await sms.delivery(Stuck()).deliver(message_id)

    assert (await final(sms, message_id))[:2] == ("failed", "transient")


async def test_a_message_whose_key_was_removed_fails_as_misconfigured(sms: Sms) -> None:
    _, message_id, _ = await queued(sms)
    rotated = CodeDeriver(KeyRing.parse("2:" + "ab" * 32))
    sender = Recorder()

    await Delivery(LedgerStore(sms.pool), SenderPool.of_one(sender), rotated, SEAL, SilentRelay().hand_over).deliver(
        message_id
    )

    assert sender.messages == []
    assert (await final(sms, message_id))[:2] == ("failed", "misconfigured")


async def test_codes_of_an_older_key_are_sent_unchanged(sms: Sms) -> None:
    _, message_id, issued = await queued(sms)
    ring = KeyRing.parse("2:" + "ab" * 32 + ",1:" + KEYS.secret.hex())
    sender = Recorder()

    await Delivery(
        LedgerStore(sms.pool), SenderPool.of_one(sender), CodeDeriver(ring), SEAL, SilentRelay().hand_over
    ).deliver(message_id)

    assert sender.messages[0].code == issued.code


async def test_a_purge_deletes_old_rows_and_keeps_the_others(sms: Sms) -> None:
    old, message_id, _ = await queued(sms)
    young, _, issued = await queued(sms)
    await sms.age(old, days=31)
    await sms.pool.execute(  # ids are in time order, so old rows have old ids
        "update messages set message_id = $2 where message_id = $1", message_id, UUID(int=7 << 76 | uuid4().int >> 64)
    )
    await sms.pool.execute(
        "update verifications set verification_id = $2 where phone_ref = $1",
        PHONES.ref(old),
        UUID(int=7 << 76 | uuid4().int >> 64),
    )

    deleted = await purge(RetentionStore(sms.pool))

    assert deleted == {"messages": 1, "verifications": 1}
    for table in ("number_activity", "verifications", "messages"):
        count = f"select count(*) from {table} where phone_ref = $1"
        assert await sms.pool.fetchval(count, PHONES.ref(old)) == 0
        assert await sms.pool.fetchval(count, PHONES.ref(young)) == 1
    assert await purge(RetentionStore(sms.pool)) == {"messages": 0, "verifications": 0}
    assert issued.code


async def test_a_purge_leaves_the_code_of_a_number_whose_limits_were_lifted_as_it_is(sms: Sms) -> None:
    number, _, issued = await queued(sms)
    elsewhere = sms.codes()
    await elsewhere.issue(asking(fresh_number()))  # this process knows the time, so it takes unseen numbers for new
    assert await NumberActivityStore(sms.pool).forget(PHONES.ref(number))

    await purge(RetentionStore(sms.pool))

    again = await elsewhere.issue(asking(number))
    assert (again.verification_id, again.code) == (issued.verification_id, issued.code)
    assert (await elsewhere.check(entering(number, issued.code))).ticket
