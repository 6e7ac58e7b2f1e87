"""Failover on a real ledger: a second sender within seconds, but never a third, and no sender twice."""

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


async def request_code(sms: Sms, number: E164) -> UUID:
    """Request a code. Returns the id of the queued message."""
    await sms.codes().issue(asking(number))
    return (await sms.sends(number))[-1]["message_id"]


def pool_of(
    *senders: Recorder, limits: dict[str, SenderLimits] | None = None, breakers: CircuitBreakers | None = None
) -> SenderPool:
    route = Route("+", tuple(sender.name for sender in senders))
    return SenderPool(senders, [route], limits or {}, breakers)


async def outcomes(sms: Sms, number: E164) -> list[tuple[str, str]]:
    return [(row["sender"], row["outcome"]) for row in await sms.attempts(number)]


def break_provider(service: Provider, fault: str) -> None:
    if fault == "silent":
        service.silent = True
    elif fault == "hanging up":
        service.cut = True
    else:
        service.responds(
            *{"refusing": (403, HTML), "malformed": (200, HTML), "error inside": (200, '{"error": "no"}')}[fault]
        )


@pytest.mark.parametrize("fault", ["refusing", "malformed", "error inside", "hanging up", "silent"])
async def test_when_the_first_sender_fails_the_code_arrives_through_the_second_within_six_seconds(
    sms: Sms, fault: str
) -> None:
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(provider()) for _ in range(2)]
        break_provider(services[0], fault)
        senders = []
        for name, service in zip(("first", "second"), services, strict=True):
            config = WebhookConfig.model_construct(type="webhook", url=service.url, secret=SecretStr("secret"))
            senders.append(await stack.enter_async_context(WebhookSender.open(name, config)))
        delivery = sms.delivery(SenderPool(senders, [Route("+", ("first", "second"))], {}))
        number = fresh_number()
        message_id = await request_code(sms, number)

        start = time.monotonic()
        await delivery.deliver(message_id)
        took = time.monotonic() - start

    assert took < 6
    assert [len(service.requests) for service in services] == [1, 1]
    (row,) = await sms.sends(number)
    assert (row["state"], row["sender"], row["failure"], row["phone_sealed"]) == ("sent", "second", "", None)
    first, second = await sms.attempts(number)
    assert (first["sender"], first["number"], second["sender"], second["number"]) == ("first", 1, "second", 2)
    assert first["outcome"] not in {"", "accepted"}
    assert first["finished_at"] is not None
    (event,) = await sms.events(str(message_id))
    assert (event["type"], event["version"]) == ("sms.message.sent.v1", row["version"])


async def test_a_message_has_at_most_two_attempts_and_a_third_sender_is_not_tried(sms: Sms) -> None:
    senders = [Recorder(Outcome.TRANSIENT, name) for name in ("one", "two", "three")]
    number = fresh_number()
    message_id = await request_code(sms, number)

    for _ in range(2):
        await sms.delivery(pool_of(*senders)).deliver(message_id)

    assert [len(sender.messages) for sender in senders] == [1, 1, 0]
    assert await outcomes(sms, number) == [("one", "transient"), ("two", "transient")]
    assert (await sms.sends(number))[0]["failure"] == "transient"


async def test_on_a_new_request_the_sender_that_failed_for_the_code_is_skipped(sms: Sms) -> None:
    one, two, number = Recorder(Outcome.REFUSED, "one"), Recorder(name="two"), fresh_number()
    await sms.delivery(pool_of(one, two)).deliver(await request_code(sms, number))
    await sms.age(number, seconds=61)
    await sms.delivery(pool_of(one, two)).deliver(await request_code(sms, number))

    assert await outcomes(sms, number) == [("one", "refused"), ("two", "accepted"), ("two", "accepted")]
    assert one.messages[0].code == two.messages[1].code


async def test_a_number_that_does_not_exist_gets_one_attempt(sms: Sms) -> None:
    one, two, number = Recorder(Outcome.INVALID_NUMBER, "one"), Recorder(name="two"), fresh_number()
    await sms.delivery(pool_of(one, two)).deliver(await request_code(sms, number))
    assert two.messages == []
    assert (await sms.sends(number))[0]["failure"] == "invalid_number"


async def test_no_second_attempt_begins_after_the_code_has_expired(sms: Sms) -> None:
    number = fresh_number()
    message_id = await request_code(sms, number)

    class Slow(Recorder):
        async def send(self, message):
            await sms.age(number, minutes=5)
            return await super().send(message)

    two = Recorder(name="two")
    await sms.delivery(pool_of(Slow(Outcome.TRANSIENT, "one"), two)).deliver(message_id)

    assert two.messages == []
    assert await outcomes(sms, number) == [("one", "transient")]
    assert (await sms.sends(number))[0]["state"] == "failed"


async def test_the_limits_of_a_sender_hold_for_a_number_across_processes(sms: Sms) -> None:
    one, two, number = Recorder(name="one"), Recorder(name="two"), fresh_number()
    limits = {"one": SenderLimits(per_hour=1), "two": SenderLimits(per_hour=1)}
    for _ in range(3):
        await sms.delivery(pool_of(one, two, limits=limits)).deliver(await request_code(sms, number))
        await sms.age(number, seconds=61)

    assert await outcomes(sms, number) == [("one", "accepted"), ("two", "accepted")]
    assert (await sms.sends(number))[-1]["failure"] == "rate_limited"


async def test_a_limit_of_one_a_minute_never_refuses_what_the_cooldown_allows(sms: Sms) -> None:
    one, number = Recorder(name="one"), fresh_number()
    delivery = sms.delivery(pool_of(one, limits={"one": SenderLimits(per_minute=1)}))
    message_id = await request_code(sms, number)
    await sms.age(number, seconds=5)  # in the queue
    await delivery.deliver(message_id)

    await sms.age(number, seconds=55)  # the cooldown of a minute is just over
    await delivery.deliver(await request_code(sms, number))

    assert await outcomes(sms, number) == [("one", "accepted"), ("one", "accepted")]


async def test_a_sender_that_keeps_failing_is_skipped(sms: Sms) -> None:
    one, two = Recorder(Outcome.TRANSIENT, "one"), Recorder(name="two")
    sender_pool = pool_of(one, two, breakers=CircuitBreakers(failures=2))
    delivery = sms.delivery(sender_pool)
    for _ in range(4):
        await delivery.deliver(await request_code(sms, fresh_number()))
    assert (len(one.messages), len(two.messages)) == (2, 4)


async def test_a_number_without_a_route_has_no_attempt_and_fails_with_an_event(sms: Sms) -> None:
    one, number = Recorder(name="one"), fresh_number()
    message_id = await request_code(sms, number)
    await sms.delivery(SenderPool([one], [Route("+852", ("one",))], {})).deliver(message_id)
    assert (one.messages, await outcomes(sms, number)) == ([], [])
    (event,) = await sms.events(str(message_id))
    assert (event["type"], event["data"]["failure"]) == ("sms.message.failed.v1", "no_route")


async def test_a_worker_that_dies_in_the_first_attempt_leaves_it_abandoned_and_no_other_sender_is_tried(
    sms: Sms,
) -> None:
    number = fresh_number()
    message_id = await request_code(sms, number)
    started = asyncio.Event()

    class Dying(Recorder):
        async def send(self, message):
            self.messages.append(message)
            started.set()
            return await asyncio.get_running_loop().create_future()

    two = Recorder(name="two")
    task = asyncio.create_task(sms.delivery(pool_of(Dying(name="one"), two)).deliver(message_id))
    await started.wait()
    task.cancel()
    await asyncio.wait({task})
    await sms.delivery(pool_of(two)).deliver(message_id)
    await sms.age(number, seconds=31)
    await sms.delivery(pool_of(two)).sweep()

    assert two.messages == []
    assert await outcomes(sms, number) == [("one", "abandoned")]
    assert (await sms.sends(number))[0]["failure"] == "abandoned"


async def test_many_messages_at_once_each_get_their_own_result(sms: Sms) -> None:
    one, two = Recorder(Outcome.REFUSED, "one"), Recorder(name="two")
    numbers = [fresh_number() for _ in range(40)]
    messages = [await request_code(sms, number) for number in numbers]
    delivery = sms.delivery(pool_of(one, two))

    await asyncio.gather(*(delivery.deliver(message) for message in messages * 2))

    assert sorted(str(m.to) for m in two.messages) == sorted(numbers)
    assert len(one.messages) == 40
