"""A request and its trace are in the events that it causes, from the gateway to the worker."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika
import aiohttp
import orjson
import pytest
from stack.system import Stack
from support.app import fresh_number

from shared.events.envelope import EXCHANGE

Next = Callable[[str, str], Awaitable[dict[str, Any]]]


@pytest.fixture
async def next_event(system: Stack) -> AsyncIterator[Next]:
    """Waits for the event of a type that a request caused. Events arrive in any order."""
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, "sms.#")
        seen: dict[tuple[str, str | None], dict[str, Any]] = {}
        async with queue.iterator(timeout=60, no_ack=True) as messages:

            async def next_event(kind: str, request_id: str) -> dict[str, Any]:
                while (kind, request_id) not in seen:
                    event = orjson.loads((await anext(messages)).body)
                    seen[event["type"], event.get("requestid")] = event
                return seen[kind, request_id]

            yield next_event


async def request_code(system: Stack, headers: dict[str, str]) -> str:
    """Request a code; returns the id of the request."""
    question = {"phone": fresh_number(), "purpose": "sign_up"}
    url = f"{system.url('gateway')}/v2/verifications"
    async with aiohttp.ClientSession() as http, http.post(url, json=question, headers=headers) as response:
        assert response.status < 300, await response.text()
        return response.headers["X-Request-Id"]


async def test_events_of_every_process_have_the_trace_of_the_request(system: Stack, next_event: Next) -> None:
    trace_id = secrets.token_hex(16)
    traceparent = f"00-{trace_id}-00f067aa0ba902b7-01"

    request_id = await request_code(system, {"traceparent": traceparent})

    for kind in ("sms.verification.requested.v1", "sms.message.sent.v1"):
        assert (await next_event(kind, request_id))["traceparent"] == traceparent


async def test_log_lines_of_every_process_have_the_trace_id(system: Stack, next_event: Next) -> None:
    trace_id = secrets.token_hex(16)
    request_id = await request_code(system, {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"})
    await next_event("sms.message.sent.v1", request_id)

    for name in ("gateway", "sms-service", "sms-worker"):
        text = system.services[name].log_path.read_text()
        lines = [orjson.loads(line) for line in text.splitlines() if trace_id in line]
        assert lines, name
        assert {line["trace_id"] for line in lines} == {trace_id}


async def test_an_invalid_trace_is_ignored(system: Stack, next_event: Next) -> None:
    request_id = await request_code(system, {"traceparent": "00-nonsense"})
    assert "traceparent" not in await next_event("sms.message.sent.v1", request_id)
