"""Failover on a real ledger: a second sender within seconds, never a third, and no sender twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
from pydantic import SecretStr
from support.provider import HTML, Provider, provider
from support.sms import Recorder, Sms, asking, fresh_number, running

from shared.phone import E164
from sms_service.delivery.circuit_breakers import CircuitBreakers
from sms_service.delivery.routing import Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.config import WebhookConfig
from sms_service.senders.limits import SenderLimits
from sms_service.senders.port import Outcome
from sms_service.senders.webhook import WebhookSender


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


async def ask(sms: Sms, number: E164) -> UUID:
    """A code asked for; gives the message that waits."""
    await sms.codes().issue(asking(number))
    return (await sms.sends(number))[-1]["message_id"]


def between(
    *senders: Recorder, limits: dict[str, SenderLimits] | None = None, breakers: CircuitBreakers | None = None
) -> SenderPool:
    route = Route("+", tuple(sender.name for sender in senders))
    return SenderPool(senders, [route], limits or {}, breakers)


async def told(sms: Sms, number: E164) -> list[tuple[str, str]]:
    return [(row["sender"], row["outcome"]) for row in await sms.attempts(number)]


def provider_fault(service: Provider, fault: str) -> None:
    if fault == "silent":
        service.silent = True
    elif fault == "away":
        service.cut = True
    else:
        service.says(
            *{"refusing": (403, HTML), "garbage": (200, HTML), "error inside": (200, '{"error": "no"}')}[fault]
        )


@pytest.mark.parametrize("fault", ["refusing", "garbage", "error inside", "away", "silent"])
async def test_when_the_first_sender_fails_the_code_arrives_through_the_second_within_six_seconds(
    sms: Sms, fault: str
) -> None:
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(provider()) for _ in range(2)]
        provider_fault(services[0], fault)
        senders = []
        for name, service in zip(("first", "second"), services, strict=True):
            config = WebhookConfig.model_construct(type="webhook", url=service.url, secret=SecretStr("secret"))
            senders.append(await stack.enter_async_context(WebhookSender.open(name, config)))
        delivery = sms.delivery(SenderPool(senders, [Route("+", ("first", "second"))], {}))
        number = fresh_number()
        message_id = await ask(sms, number)

        began = time.monotonic()
        await delivery.deliver(message_id)
        took = time.monotonic() - began

    assert took < 6
    assert [len(service.asked) for service in services] == [1, 1]
    (row,) = await sms.sends(number)
    assert (row["state"], row["sender"], row["failure"], row["phone_sealed"]) == ("sent", "second", "", None)
    first, second = await sms.attempts(number)
    assert (first["sender"], first["number"], second["sender"], second["number"]) == ("first", 1, "second", 2)
    assert first["outcome"] not in {"", "accepted"}
    assert first["finished_at"] is not None
    (event,) = await sms.events(str(message_id))
    assert (event["type"], event["version"]) == ("sms.message.sent.v1", row["version"])


async def test_a_code_is_sent_at_most_twice_and_a_third_sender_is_not_asked(sms: Sms) -> None:
    senders = [Recorder(Outcome.TRANSIENT, name) for name in ("one", "two", "three")]
    number = fresh_number()
    message_id = await ask(sms, number)

    for _ in range(2):
        await sms.delivery(between(*senders)).deliver(message_id)

    assert [len(sender.messages) for sender in senders] == [1, 1, 0]
    assert await told(sms, number) == [("one", "transient"), ("two", "transient")]
    assert (await sms.sends(number))[0]["failure"] == "transient"


async def test_asked_anew_the_sender_that_failed_for_the_code_is_left_out(sms: Sms) -> None:
    one, two, number = Recorder(Outcome.REFUSED, "one"), Recorder(name="two"), fresh_number()
    await sms.delivery(between(one, two)).deliver(await ask(sms, number))
    await sms.age(number, seconds=61)
    await sms.delivery(between(one, two)).deliver(await ask(sms, number))

    assert await told(sms, number) == [("one", "refused"), ("two", "accepted"), ("two", "accepted")]
    assert one.messages[0].code == two.messages[1].code


async def test_a_number_that_does_not_exist_is_tried_once(sms: Sms) -> None:
    one, two, number = Recorder(Outcome.INVALID_NUMBER, "one"), Recorder(name="two"), fresh_number()
    await sms.delivery(between(one, two)).deliver(await ask(sms, number))
    assert two.messages == []
    assert (await sms.sends(number))[0]["failure"] == "invalid_number"


async def test_no_second_attempt_begins_after_the_code_has_died(sms: Sms) -> None:
    number = fresh_number()
    message_id = await ask(sms, number)

    class Slow(Recorder):
        async def send(self, message):
            await sms.age(number, minutes=5)
            return await super().send(message)

    two = Recorder(name="two")
    await sms.delivery(between(Slow(Outcome.TRANSIENT, "one"), two)).deliver(message_id)

    assert two.messages == []
    assert await told(sms, number) == [("one", "transient")]
    assert (await sms.sends(number))[0]["state"] == "failed"


async def test_limits_of_a_sender_hold_for_a_number_whatever_process_asks(sms: Sms) -> None:
    one, two, number = Recorder(name="one"), Recorder(name="two"), fresh_number()
    limits = {"one": SenderLimits(per_hour=1), "two": SenderLimits(per_hour=1)}
    for _ in range(3):
        await sms.delivery(between(one, two, limits=limits)).deliver(await ask(sms, number))
        await sms.age(number, seconds=61)

    assert await told(sms, number) == [("one", "accepted"), ("two", "accepted")]
    assert (await sms.sends(number))[-1]["failure"] == "rate_limited"


async def test_a_sender_with_one_a_minute_takes_whatever_the_cooldown_allows(sms: Sms) -> None:
    one, number = Recorder(name="one"), fresh_number()
    delivery = sms.delivery(between(one, limits={"one": SenderLimits(per_minute=1)}))
    message_id = await ask(sms, number)
    await sms.age(number, seconds=5)  # in the queue
    await delivery.deliver(message_id)

    await sms.age(number, seconds=55)  # the cooldown of a minute is just over
    await delivery.deliver(await ask(sms, number))

    assert await told(sms, number) == [("one", "accepted"), ("one", "accepted")]


async def test_a_sender_that_keeps_failing_is_left_alone(sms: Sms) -> None:
    one, two = Recorder(Outcome.TRANSIENT, "one"), Recorder(name="two")
    sender_pool = between(one, two, breakers=CircuitBreakers(failures=2))
    delivery = sms.delivery(sender_pool)
    for _ in range(4):
        await delivery.deliver(await ask(sms, fresh_number()))
    assert (len(one.messages), len(two.messages)) == (2, 4)


async def test_a_number_without_a_route_costs_nothing_and_is_told(sms: Sms) -> None:
    one, number = Recorder(name="one"), fresh_number()
    message_id = await ask(sms, number)
    await sms.delivery(SenderPool([one], [Route("+852", ("one",))], {})).deliver(message_id)
    assert (one.messages, await told(sms, number)) == ([], [])
    (event,) = await sms.events(str(message_id))
    assert (event["type"], event["data"]["failure"]) == ("sms.message.failed.v1", "no_route")


async def test_a_worker_that_dies_in_the_first_attempt_leaves_it_abandoned_and_nobody_else_sends(sms: Sms) -> None:
    number = fresh_number()
    message_id = await ask(sms, number)
    taken = asyncio.Event()

    class Dying(Recorder):
        async def send(self, message):
            self.messages.append(message)
            taken.set()
            return await asyncio.get_running_loop().create_future()

    two = Recorder(name="two")
    task = asyncio.create_task(sms.delivery(between(Dying(name="one"), two)).deliver(message_id))
    await taken.wait()
    task.cancel()
    await asyncio.wait({task})
    await sms.delivery(between(two)).deliver(message_id)
    await sms.age(number, seconds=31)
    await sms.delivery(between(two)).sweep()

    assert two.messages == []
    assert await told(sms, number) == [("one", "abandoned")]
    assert (await sms.sends(number))[0]["failure"] == "abandoned"


async def test_many_messages_at_once_each_get_their_own_answer(sms: Sms) -> None:
    one, two = Recorder(Outcome.REFUSED, "one"), Recorder(name="two")
    numbers = [fresh_number() for _ in range(40)]
    messages = [await ask(sms, number) for number in numbers]
    delivery = sms.delivery(between(one, two))

    await asyncio.gather(*(delivery.deliver(message) for message in messages * 2))

    assert sorted(str(m.to) for m in two.messages) == sorted(numbers)
    assert len(one.messages) == 40
