"""What operators do about codes: explain a number, lift its limits, and unblock a prefix."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from stack import ports
from support.principals import strong_secret
from support.sms import SEAL, Sms, asking, fresh_database, fresh_number, process, refusal
from support.spending import SpendingHarness, make_plan, pump, random_number, random_range

from shared import redis
from shared.background import repeating
from shared.errors import ErrorCode
from shared.events.envelope import new_id
from shared.internal_api.client import InternalClient, internal_client
from shared.internal_api.operators.codes import (
    EXPLAIN_CODES,
    LIFT_CODE_LIMITS,
    UNBLOCK_PREFIX,
    ExplainCodes,
    LiftCodeLimits,
    UnblockPrefix,
)
from shared.internal_api.operators.senders import SEND_TEST_MESSAGE, SendTestMessage
from shared.internal_api.sms import Language
from shared.phone import mask
from shared.postgres import connection
from sms_service.app import create_api
from sms_service.callers.rate_limits import CallerRateLimits
from sms_service.delivery.sender_pool import SenderPool
from sms_service.messages.templates import BUILT_IN
from sms_service.retention_store import RetentionStore
from sms_service.sender_checks.store import SenderCheckStore
from sms_service.sender_checks.test_messages import TestMessage, TestMessageDelivery
from sms_service.senders.port import Balance, Outcome, OutgoingMessage, SendResult
from sms_service.settings import SmsSettings

WHO = {"operator": "ada", "reason": "ticket 4711"}
TOKEN = strong_secret("operator")


SPENDING = """\
[spending]
currency = "CNY"

[spending.range]
flag = 4
throttle = 8
block = 12

[senders.inbox]
type = "inbox"

[senders.inbox.prices]
"+" = "0.01"

[[routes]]
prefix = "+"
senders = ["inbox"]
"""

Serve = Callable[..., Awaitable[InternalClient]]


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    """The rooms of a service over a database."""
    async with fresh_database(postgres_url) as database, process(postgres_url, database) as sms:
        yield sms


@pytest.fixture(scope="module")
async def serve(sms: Sms, postgres_url: str, redis_url: str, amqp_url: str) -> AsyncIterator[Serve]:
    """Starts an API over the same database. Returns its client, who is the operator."""
    servers = {"postgres_url": postgres_url, "redis_url": redis_url, "amqp_url": amqp_url}
    async with AsyncExitStack() as stack:

        async def start(**more: Any) -> InternalClient:
            auth_url = f"http://127.0.0.1:{ports.free_port()}"
            settings = SmsSettings(
                environment="development",
                sms_database=sms.database,
                auth_url=auth_url,
                operator_to_sms_token=TOKEN,
                **servers,
                **more,
            )
            server = await stack.enter_async_context(TestServer(create_api(settings)))
            url = str(server.make_url("")).rstrip("/")
            return await stack.enter_async_context(internal_client(url, SecretStr(TOKEN)))

        yield start


@pytest.fixture(scope="module")
async def served(sms: Sms, serve: Serve) -> tuple[Sms, InternalClient]:
    """The rooms of a service, and a client of its API as the operator."""
    return sms, await serve(caller_limits="off")


async def test_a_number_gets_codes_at_once_after_its_limits_are_lifted(served: tuple[Sms, InternalClient]) -> None:
    sms, client = served
    number = fresh_number()
    await sms.codes().issue(asking(number))
    assert (await refusal(sms.codes().issue(asking(number)))).code is ErrorCode.COOLDOWN

    lifted = [await client.call(LIFT_CODE_LIMITS, LiftCodeLimits(**WHO, phone=number)) for _ in range(2)]

    assert [each.changed for each in lifted] == [True, False]
    assert (await sms.codes().issue(asking(number))).resend_after == 60


async def test_a_number_gets_codes_at_once_from_the_site_that_had_sent_it_all_it_may(
    sms: Sms, serve: Serve, redis_url: str
) -> None:
    number, other, client = fresh_number(), fresh_number(), await serve()
    address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"
    async with redis.client(redis_url) as connected:
        codes = sms.codes(CallerRateLimits(connected))
        for each in (number, other):
            for _ in range(4):
                await codes.issue(asking(each, address=address))
                await sms.age(each, hours=1)
            assert (await refusal(codes.issue(asking(each, address=address)))).code is ErrorCode.CALLER_LIMIT

        assert (await client.call(LIFT_CODE_LIMITS, LiftCodeLimits(**WHO, phone=number))).changed

        assert (await codes.issue(asking(number, address=address))).resend_after == 60
        assert (await refusal(codes.issue(asking(other, address=address)))).code is ErrorCode.CALLER_LIMIT


async def test_a_prefix_that_spending_blocked_gets_codes_as_soon_as_it_is_unblocked(
    sms: Sms, serve: Serve, tmp_path: Path
) -> None:
    file, number_range = tmp_path / "senders.toml", random_range()
    file.write_text(SPENDING)
    client = await serve(caller_limits="off", sms_config_file=file)
    harness = SpendingHarness(sms, make_plan(range={"flag": 4, "throttle": 8, "block": 12}))
    await pump(harness, number_range, 12)
    await harness.age(minutes=20)
    await harness.review()
    scope, number = f"range:{number_range}", random_number(number_range)
    assert (await refusal(harness.codes().issue(asking(number)))).code is ErrorCode.SENDING_PAUSED
    assert f"{scope}: blocked" in await harness.rendered()

    unblocked = [await client.call(UNBLOCK_PREFIX, UnblockPrefix(**WHO, scope=scope)) for _ in range(2)]

    assert [each.changed for each in unblocked] == [True, False]
    await harness.review()
    assert (await harness.codes().issue(asking(number))).resend_after == 60
    assert scope not in await harness.rendered()


async def test_a_report_shows_the_number_only_to_those_who_may_see_it(served: tuple[Sms, InternalClient]) -> None:
    sms, client = served
    number = fresh_number()
    await sms.codes().issue(asking(number))

    clear = await client.call(EXPLAIN_CODES, ExplainCodes(**WHO, phone=number, sees_numbers=True))
    masked = await client.call(EXPLAIN_CODES, ExplainCodes(**WHO, phone=number))

    assert (clear.report["number"], masked.report["number"]) == (number, mask(number))
    assert number[3:] not in json.dumps(masked.report)
    assert masked.report["timelines"][0]["steps"]


async def test_without_spending_there_is_no_prefix_to_unblock(served: tuple[Sms, InternalClient]) -> None:
    _, client = served
    call = client.call(UNBLOCK_PREFIX, UnblockPrefix(**WHO, scope="range:+861380013"))
    assert (await refusal(call)).code is ErrorCode.NOT_FOUND


class Provider:
    """A sender that remembers what it was given."""

    name = "inbox"

    def __init__(self) -> None:
        self.given: list[OutgoingMessage] = []

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        self.given.append(outgoing)
        return SendResult(Outcome.REFUSED, "signature")


async def test_a_test_message_goes_once_through_the_named_sender_and_leaves_no_number(
    served: tuple[Sms, InternalClient],
) -> None:
    sms, client = served
    number, provider = fresh_number(), Provider()
    delivery = TestMessageDelivery(SenderCheckStore(sms.pool), SenderPool.of_one(provider), SEAL, BUILT_IN)
    async with repeating("test_messages", 0.05, delivery.send_waiting):
        result = await client.call(
            SEND_TEST_MESSAGE, SendTestMessage(**WHO, sender="inbox", phone=number, language=Language.ENGLISH)
        )

    assert (result.outcome, result.detail) == ("refused", "signature")
    assert [(each.to, each.code, each.message_id) for each in provider.given] == [(number, "000000", result.message_id)]
    assert "000000" in provider.given[0].text
    async with connection(sms.pool) as conn:
        row = await conn.fetchrow("select * from test_messages where message_id = $1", result.message_id)
    assert (row["phone_sealed"], row["outcome"]) == (None, "refused")


async def test_two_workers_never_take_the_same_test_message(served: tuple[Sms, InternalClient]) -> None:
    sms, _ = served
    store, provider = SenderCheckStore(sms.pool), Provider()
    async with connection(sms.pool) as conn:
        await conn.execute("delete from test_messages")
    messages = [TestMessage(new_id(), "inbox", SEAL.seal(fresh_number()), Language.CHINESE) for _ in range(25)]
    added = [await store.add(message, per_hour=20) for message in messages]
    workers = [TestMessageDelivery(store, SenderPool.of_one(provider), SEAL, BUILT_IN) for _ in range(4)]

    await asyncio.gather(*(worker.send_waiting() for worker in workers))

    assert added == [True] * 20 + [False] * 5
    assert sorted(each.message_id for each in provider.given) == [each.message_id for each in messages[:20]]
    async with connection(sms.pool) as conn:
        await conn.execute("delete from test_messages")


async def test_what_no_worker_took_can_be_withdrawn_and_is_purged_after_a_day(
    served: tuple[Sms, InternalClient],
) -> None:
    sms, _ = served
    store = SenderCheckStore(sms.pool)
    message, old = (TestMessage(new_id(), "inbox", b"sealed", Language.CHINESE) for _ in range(2))
    assert await store.add(message, per_hour=20)
    assert [await store.withdraw(message.message_id) for _ in range(2)] == [True, False]
    assert await store.add(old, per_hour=20)
    async with connection(sms.pool) as conn:
        await conn.execute("update test_messages set requested_at = now() - interval '25 hours'")
        (rows,) = await conn.fetchrow("select count(*) from test_messages")

    assert [await RetentionStore(sms.pool).purge_test_messages(100) for _ in range(2)] == [rows, 0]


async def test_the_last_balance_of_a_sender_is_kept(served: tuple[Sms, InternalClient]) -> None:
    store = SenderCheckStore(served[0].pool)
    for amount in (120.0, 80.5):
        await store.keep("world", Balance(amount, "USD"))

    kept = await store.balances()
    assert (kept["world"].amount, kept["world"].unit) == (80.5, "USD")
