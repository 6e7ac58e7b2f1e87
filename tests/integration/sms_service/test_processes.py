"""The API and the delivery worker together, over HTTP and a real broker, up to the inbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aio_pika
import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from stack.system import Stack
from support.monitoring import with_monitoring
from support.principals import EveryPrincipal, every_principal
from support.sms import (
    a_message,
    asking,
    entering,
    fresh_database,
    fresh_number,
    looking_up,
    refusal,
    worker_settings,
    wrong,
)

from shared import amqp
from shared.errors import ErrorCode
from shared.events.envelope import OutboxMessage, new_id
from shared.internal_api.client import internal_client
from shared.internal_api.sms import ASK_STATUS, CHECK_CODE, ISSUE_CODE, CodeIssued, Purpose
from shared.process.settings import Environment
from sms_service import send_command
from sms_service.app import create_api
from sms_service.delivery import consumer
from sms_service.inbox.messages import PUT_MESSAGES, NewMessage, NewMessages
from sms_service.senders.inbox import InboxSender
from sms_service.senders.port import Outcome
from sms_service.settings import SmsSettings
from sms_service.worker import create_worker


@dataclass(frozen=True)
class Processes:
    """An API, a worker, and a broker with the test's own queue between them."""

    settings: SmsSettings
    api: str
    worker: str
    client: EveryPrincipal
    browser: aiohttp.ClientSession
    queue: amqp.Queue

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        async with self.browser.get(self.api + path, params=query) as response:
            return response.status, await response.json(content_type=None)

    async def latest(self, number: str, **query: str) -> tuple[int, Any]:
        return await self.get("/inbox/messages/latest", to=number, **query)


def serving(app: web.Application) -> TestServer:
    return TestServer(with_monitoring(app))


def url(server: TestServer) -> str:
    return str(server.make_url("")).rstrip("/")


@pytest.fixture(scope="module")
async def processes(postgres_url: str, redis_url: str, amqp_url: str) -> AsyncIterator[Processes]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database(postgres_url))
        # A queue of our own: other workers on this broker would take our commands, and we theirs.
        queue = amqp.Queue(f"sms.send.{uuid4().hex}", prefetch=64)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(send_command, "SEND_QUEUE", queue.name)
        patch.setattr(consumer, "SEND_COMMANDS", queue)
        settings = SmsSettings(
            environment="development",
            postgres_url=postgres_url,
            redis_url=redis_url,
            amqp_url=amqp_url,
            sms_database=database,
            reveal_codes=True,
            caller_limits="off",
        )
        stack.push_async_callback(_delete, amqp_url, queue)
        api = url(await stack.enter_async_context(serving(create_api(settings))))
        worker = url(await stack.enter_async_context(serving(create_worker(worker_settings(settings, api)))))
        peer = await stack.enter_async_context(every_principal(api, settings.principal_tokens))
        browser = await stack.enter_async_context(aiohttp.ClientSession())
        yield Processes(settings, api, worker, peer, browser, queue)


async def _delete(amqp_url: str, queue: amqp.Queue) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        for name in (queue.name, queue.parked, *map(queue.retry_queue, amqp.RETRY_DELAYS)):
            await channel.queue_delete(name)


async def sent(processes: Processes) -> tuple[str, CodeIssued, dict[str, Any]]:
    """Request a code, and wait for its message in the inbox."""
    number = fresh_number()
    issued = await processes.client.call(ISSUE_CODE, asking(number))
    status, message = await processes.latest(number, wait="10")
    assert status == 200
    return number, issued, message


async def test_a_requested_code_arrives_in_the_inbox_and_gives_a_ticket(processes: Processes) -> None:
    number, issued, message = await sent(processes)

    assert message["code"] == issued.code
    assert (message["to"], message["purpose"]) == (number, "sign_up")
    assert issued.code in message["text"]
    assert message["created_at"].endswith("Z")
    assert set(message) == {"id", "to", "text", "code", "purpose", "created_at"}
    assert (await refusal(processes.client.call(CHECK_CODE, entering(number, wrong(issued.code))))).retry_after is None
    assert (await processes.client.call(CHECK_CODE, entering(number, message["code"]))).ticket


async def test_refusals_keep_their_seconds_on_the_wire(processes: Processes) -> None:
    number, _, _ = await sent(processes)
    for call in (
        processes.client.call(ISSUE_CODE, asking(number)),
        processes.client.call(ASK_STATUS, looking_up(number)),
    ):
        error = await refusal(call)
        assert error.code is ErrorCode.COOLDOWN
        assert 50 <= (error.retry_after or 0) <= 60


async def test_calls_without_a_token_are_refused(processes: Processes) -> None:
    for path in (ISSUE_CODE.path, CHECK_CODE.path, ASK_STATUS.path, "/inbox/messages"):
        async with processes.browser.post(processes.api + path, data=b"{}") as response:
            assert response.status == 401
            assert (await response.json(content_type=None))["code"] == "unknown_token"


async def test_both_processes_report_that_they_are_ready(processes: Processes) -> None:
    for base, checks in ((processes.api, {"postgresql"}), (processes.worker, {"postgresql", "rabbitmq"})):
        async with processes.browser.get(base + "/monitoring/readyz") as response:
            assert (await response.json())["checks"] == dict.fromkeys(checks, "ok")
        async with processes.browser.get(base + "/monitoring/livez") as response:
            assert response.status == 200


async def test_malformed_commands_are_parked_and_delay_no_message(processes: Processes, amqp_url: str) -> None:
    bodies = (b"", b"{}", b"[]", b'{"message_id": 7}', b'{"message_id": "x"}', b"\xff")
    async with amqp.connect(amqp_url, "test") as connection:
        publisher = await amqp.Publisher.open(connection, "sms")
        for body in bodies:
            await publisher.publish(OutboxMessage(new_id(), "", processes.queue.name, body))
        await sent(processes)
        parked = await (await connection.channel()).get_queue(processes.queue.parked)
        found = set()
        async with asyncio.timeout(30), parked.iterator(no_ack=True) as messages:
            async for message in messages:
                found.add(message.body)
                if len(found) == len(bodies):
                    break
    assert found == set(bodies)


async def put(processes: Processes, number: str, *texts: str) -> None:
    messages = [NewMessage(to=number, text=text, code="222222", purpose=Purpose.SIGN_IN) for text in texts]
    await processes.client.call(PUT_MESSAGES, NewMessages(messages=messages))


async def test_the_inbox_lists_newest_first_by_any_spelling_of_the_number(processes: Processes) -> None:
    number, _, first = await sent(processes)
    await put(processes, number, "second")

    for spelling in (
        number,
        number[3:],
        "0086" + number[3:],
        " " + number[1:],
        f"{number[3:6]} {number[6:10]}-{number[10:]}",
    ):
        status, body = await processes.get("/inbox/messages", to=spelling)
        assert status == 200
        assert [message["text"] for message in body["messages"]] == ["second", first["text"]]
    unescaped = aiohttp.client.URL(f"{processes.api}/inbox/messages?to={number}&limit=1", encoded=True)
    async with processes.browser.get(unescaped) as response:
        assert [message["text"] for message in (await response.json())["messages"]] == ["second"]
    _, everything = await processes.get("/inbox/messages")
    assert everything["messages"][0]["text"] == "second"


async def test_latest_waits_for_a_message_newer_than_the_one_already_read(processes: Processes) -> None:
    number, _, first = await sent(processes)
    assert (await processes.latest(number, after=first["id"]))[0] == 404
    waiting = asyncio.create_task(processes.latest(number, after=first["id"], wait="20"))
    await asyncio.sleep(0)
    await put(processes, number, "second")

    status, second = await waiting

    assert (status, second["text"]) == (200, "second")
    assert second["id"] > first["id"]
    assert (await processes.latest(fresh_number(), wait="0.05"))[0] == 404


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "-1"}, {"limit": "x"}, {"limit": "１"}, {"limit": "1001"}, {"to": ""}, {"to": "abc"},
        {"wait": "x"}, {"wait": "-1"}, {"wait": "nan"}, {"wait": "inf"}, {"after": "7"}, {"to": "12"},
    ],
)  # fmt: skip
async def test_bad_parameters_are_named_and_not_echoed(processes: Processes, query: dict[str, str]) -> None:
    path = "/inbox/messages" if "limit" in query else "/inbox/messages/latest"
    status, body = await processes.get(path, **query)
    assert (status, body["code"], body["field"]) == (400, "parameter_invalid", next(iter(query)))


async def test_the_inbox_can_be_emptied_and_describes_itself(processes: Processes) -> None:
    number, _, _ = await sent(processes)
    async with processes.browser.delete(processes.api + "/inbox/messages") as response:
        assert response.status == 204
    assert (await processes.get("/inbox/messages")) == (200, {"messages": []})
    assert (await processes.latest(number))[0] == 404
    async with processes.browser.get(processes.api + "/inbox") as response:
        assert "/inbox/messages" in await response.text()


async def test_a_site_that_points_its_name_at_this_machine_reads_nothing_from_the_inbox(processes: Processes) -> None:
    number, _, _ = await sent(processes)
    pages = ("GET", "?q="), ("GET", "/state?wait=0")
    for method, path in (*pages, ("GET", "/messages"), ("GET", "/messages/latest"), ("DELETE", "/messages")):
        address = f"{processes.api}/inbox{path}"
        async with processes.browser.request(method, address, headers={"Host": "evil.example"}) as response:
            assert response.status == 404
    assert (await processes.latest(number))[0] == 200


async def test_in_production_there_is_no_inbox(processes: Processes, servers: Stack) -> None:
    own = {"postgres_url": servers.servers.postgres.url_as("sms-service"), "sms_database": "sms"}
    settings = processes.settings.model_copy(update={"environment": Environment.PRODUCTION, **own})
    async with serving(create_api(settings)) as server:
        for method, path in (("GET", ""), ("GET", "/messages"), ("GET", "/messages/latest"), ("DELETE", "/messages")):
            async with processes.browser.request(method, f"{url(server)}/inbox{path}") as response:
                assert response.status == 404
        async with internal_client(url(server), settings.inbox_tokens) as peer:
            assert (await InboxSender(peer).send(a_message())).outcome is Outcome.MISCONFIGURED


async def test_the_inbox_sender_reports_its_outcome(processes: Processes) -> None:
    assert (await InboxSender(processes.client).send(a_message())).outcome is Outcome.ACCEPTED
    async with (
        internal_client(processes.api, SecretStr("not the token")) as stranger,
        internal_client("http://127.0.0.1:1", SecretStr("x")) as unreachable,
    ):
        assert (await InboxSender(stranger).send(a_message())).outcome is Outcome.MISCONFIGURED
        assert (await InboxSender(unreachable).send(a_message())).outcome is Outcome.TRANSIENT


async def test_messages_sent_at_once_arrive_in_order(processes: Processes) -> None:
    sender, messages = InboxSender(processes.client), [a_message() for _ in range(20)]

    answers = await asyncio.gather(*(sender.send(message) for message in messages))

    assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
    _, body = await processes.get("/inbox/messages", limit="20")
    assert [message["to"] for message in reversed(body["messages"])] == [message.to for message in messages]


async def test_events_of_the_worker_reach_subscribers(processes: Processes, amqp_url: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        heard = await channel.declare_queue(exclusive=True, auto_delete=True)
        await heard.bind("events", "sms.#")
        _, issued, _ = await sent(processes)
        kinds: list[str] = []
        async with asyncio.timeout(30), heard.iterator(no_ack=True) as messages:
            async for message in messages:
                if str(issued.verification_id).encode() in message.body:
                    kinds.append(str(message.routing_key))
                    assert issued.code.encode() not in message.body.split(b'"')
                if len(kinds) == 2:
                    break
    assert sorted(kinds) == ["sms.message.sent.v1", "sms.verification.requested.v1"]
