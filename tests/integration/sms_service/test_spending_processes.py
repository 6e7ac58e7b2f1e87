"""Spending in the real processes: they read the file, the worker charges and reviews, and the API refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
import pytest
from aiohttp.test_utils import TestServer
from support.monitoring import with_monitoring
from support.sms import asking, entering, fresh_database, fresh_number, worker_settings
from support.spending import clear_of_the_edge

from shared import amqp
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.client import InternalClient, internal_client
from shared.internal_api.sms import CHECK_CODE, ISSUE_CODE
from shared.postgres import url_of
from shared.process import logs
from shared.process.settings import load
from sms_service import send_command
from sms_service.__main__ import main
from sms_service.app import create_api
from sms_service.delivery import consumer
from sms_service.settings import SmsSettings
from sms_service.worker import create_worker

FILE = """\
[spending]
currency = "CNY"
known_percent = 0

[senders.inbox]
type = "inbox"

[senders.inbox.prices]
"+" = "0.01"

[[routes]]
prefix = "+"
senders = ["inbox"]

[[budgets]]
prefix = "+86"
day = "0.03"
"""


@pytest.fixture
async def settings(
    postgres_url: str, redis_url: str, amqp_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SmsSettings]:
    file = tmp_path / "routes.toml"
    file.write_text(FILE)
    queue = amqp.Queue(f"sms.send.{uuid4().hex}", prefetch=64)
    monkeypatch.setattr(send_command, "SEND_QUEUE", queue.name)
    monkeypatch.setattr(consumer, "SEND_COMMANDS", queue)
    async with fresh_database(postgres_url) as database:
        session = await asyncpg.connect(url_of(postgres_url, database))
        await clear_of_the_edge(session, timedelta(days=1), seconds=15)
        await session.close()
        environ = {
            "ENVIRONMENT": "development",
            "POSTGRES_URL": postgres_url,
            "REDIS_URL": redis_url,
            "AMQP_URL": amqp_url,
            "SMS_DATABASE": database,
            "SMS_CONFIG_FILE": str(file),
            "CALLER_LIMITS": "off",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield load(SmsSettings, "sms-service")
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        for name in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(name)


async def test_the_budget_is_spent_to_the_end_and_then_requests_are_refused_with_retry_after(
    settings: SmsSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command would configure the log of the tests that follow.
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)
    async with AsyncExitStack() as stack:
        api = str((await stack.enter_async_context(TestServer(create_api(settings)))).make_url("")).rstrip("/")
        worker = await stack.enter_async_context(
            TestServer(with_monitoring(create_worker(worker_settings(settings, api))))
        )
        peer = await stack.enter_async_context(internal_client(api, settings.gateway_to_sms_token))
        browser = await stack.enter_async_context(aiohttp.ClientSession())

        for _ in range(3):
            number = fresh_number()
            await peer.call(ISSUE_CODE, asking(number))
            async with browser.get(f"{api}/inbox/messages/latest", params={"to": number, "wait": "10"}) as answer:
                code = (await answer.json())["code"]
            assert (await peer.call(CHECK_CODE, entering(number, code))).ticket
        refused = await _refused(peer)
        async with browser.get(worker.make_url("/monitoring/metrics")) as answer:
            metrics = await answer.text()
        await asyncio.to_thread(main, ["spending"])
        with pytest.raises(SystemExit, match=r"To raise a budget, edit the settings file"):
            await asyncio.to_thread(main, ["spending", "unblock", "day:+86"])
        with pytest.raises(SystemExit, match=r"range:\+861380013 is not flagged, throttled or blocked"):
            await asyncio.to_thread(main, ["spending", "unblock", "range:+861380013"])

    assert 1 <= (refused.retry_after or 0) <= 86_400
    assert 'haoma_spent_micros_total{country="86",sender="inbox"}' in metrics
    assert 'haoma_budget_stages{span="day",stage="exhausted"} 1.0' in metrics
    output = capsys.readouterr().out
    assert "+86 this day: 0.03 of 0.03 CNY, renewed in " in output
    assert "day:+86: exhausted for 0 min" in output
    session = await asyncpg.connect(url_of(settings.postgres_url, settings.sms_database))
    assert await session.fetchval("select sum(price)::int from attempts") == 30_000
    assert await session.fetchval("select sum(verified)::int from prefix_traffic") == 3
    await session.close()


async def _refused(peer: InternalClient) -> ServiceError:
    """The first refusal of a code, after the monitor's review and the gate's refresh."""
    async with asyncio.timeout(30):
        while True:
            try:
                await peer.call(ISSUE_CODE, asking(fresh_number()))
            except ServiceError as error:
                assert error.code is ErrorCode.SENDING_PAUSED
                return error
