"""Spans of one registration, from the first request to the directory, in one trace over five processes."""

import asyncio
import os
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from stack.system import Stack
from support.app import App, fresh_address, fresh_number
from support.collector import Collector, Span, collecting
from support.trace_picture import draw

PROCESSES = {"gateway", "auth-service", "sms-service", "sms-worker", "contacts-service"}
PRIVATE = re.compile(r"[0-9]{7,}|[0-9]{1,3}(?:[.][0-9]{1,3}){3}|2001:db8")
LOCAL = {"127.0.0.1"}
WARMING = 3


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
async def traced(collector: Collector) -> AsyncIterator[Stack]:
    """A system that sends its spans to the collector."""
    environ = {
        "ENVIRONMENT": "development",
        "CALLER_LIMITS": "on",
        "TRUSTED_PROXIES": "127.0.0.0/8",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with Stack.private(environ=environ) as stack:
        await asyncio.to_thread(stack.start)
        yield stack


@pytest.fixture(scope="module")
async def registration(traced: Stack, collector: Collector) -> list[Span]:
    """The spans of a registration whose client began the trace, on connections that are open already."""
    async with App.connect(traced.url("gateway"), traced.url("sms-service")) as app:
        for _ in range(WARMING):
            before = secrets.token_hex(16)
            await register(app, before)
            await collector.until(partial(_has_reached_the_directory, before))  # or one statement serves two traces
        trace_id = secrets.token_hex(16)
        await register(app, trace_id)

    def complete(spans: list[Span]) -> bool:
        ours = [span for span in spans if span.trace_id == trace_id]
        names = {span.name for span in ours}
        routes = {"/v2/verifications", "/v2/verifications/check", "/v2/accounts", "process contacts.directory"}
        return routes <= names and {span.process for span in ours} >= PROCESSES and _is_whole(ours)

    return [span for span in await collector.until(complete) if span.trace_id == trace_id]


async def register(app: App, trace_id: str) -> None:
    number = fresh_number()
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "X-Forwarded-For": fresh_address()}
    question = {"phone": number, "purpose": "sign_up"}
    sent = await app.call("POST", "/v2/verifications", json=question, headers=headers)
    answer = {"challenge": sent.body["challenge"], "code": await app.code(number)}
    checked = await app.call("POST", "/v2/verifications/check", json=answer, headers=headers)
    account = {"ticket": checked.body["ticket"], "password": "a long password"}
    assert (await app.call("POST", "/v2/accounts", json=account, headers=headers)).status == 201


def _has_reached_the_directory(trace_id: str, spans: list[Span]) -> bool:
    return any((span.trace_id, span.name) == (trace_id, "process contacts.directory") for span in spans)


def _is_whole(spans: list[Span]) -> bool:
    known = {span.span_id for span in spans} | {"00f067aa0ba902b7"}
    return all(span.parent_id in known for span in spans)


def test_every_process_is_in_the_trace_of_the_client(registration: list[Span]) -> None:
    assert {span.process for span in registration} == PROCESSES
    roots = [span for span in registration if span.parent_id == "00f067aa0ba902b7"]
    assert Counter(span.name for span in roots) == Counter(
        ["/v2/verifications", "/v2/verifications/check", "/v2/accounts"]
    )
    if target := os.environ.get("TRACE_PICTURE"):
        Path(target).write_text(draw(registration))


def test_statements_commands_calls_and_messages_are_in_it(registration: list[Span]) -> None:
    systems = {(span.process, span.attributes.get("db.system")) for span in registration}
    assert {("auth-service", "postgresql"), ("sms-service", "postgresql"), ("sms-service", "redis")} <= systems
    assert {("sms-worker", "postgresql"), ("contacts-service", "postgresql")} <= systems
    queues = {span.attributes.get("messaging.destination.name") for span in registration}
    assert {"sms.send", "contacts.directory"} <= queues
    calls = {span.name for span in registration if span.process == "sms-service"}
    assert calls & {"/v1/codes/issue", "/v1/codes/issue-to-inactive"}  # the gateway may not have filled its filter yet


def test_no_span_holds_a_number_an_address_or_the_text_of_an_error(registration: list[Span]) -> None:
    for span in registration:
        assert (span.events, span.status_message) == (0, "")
        values = {span.name, *map(str, span.attributes.values())} - LOCAL
        assert [value for value in values if PRIVATE.search(value)] == []
