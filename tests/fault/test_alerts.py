"""Each alert, provoked by the fault that it is for: a real system reports, and Prometheus evaluates the rules on it.

``support.alerts`` repeats what was measured for as long as a rule asks for.
"""

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from stack.system import Stack
from support import alerts, native
from support.alerts import Observation, firing, observe
from support.app import App, fresh_number, wrong
from support.database import Tables
from support.metrics import Scrape, read, scrape

from shared.background import running

CONFIG = """\
[spending]
currency = "CNY"

[spending.range]
flag = 2
throttle = 0
block = 4

[senders.inbox]
type = "inbox"

[senders.inbox.prices]
"+" = "0.01"

[senders.broken]
type = "webhook"
url = "http://127.0.0.1:1/"
secret_env = "BROKEN_SMS_SECRET"

[senders.broken.prices]
"+" = "0.01"

[senders.prepaid]
type = "twilio"
account_sid = "AC1"
auth_token_env = "BROKEN_SMS_SECRET"
from_number = "+15005550006"
base_url = "BALANCE_URL"
warn_below_balance = 10

[senders.prepaid.prices]
"+" = "0.01"

[[routes]]
prefix = "+8619911"
senders = ["broken"]

[[routes]]
prefix = "+"
senders = ["inbox"]

[[budgets]]
prefix = "+86199222"
day = "0.05"
"""
SETTINGS = {
    "CALLER_LIMITS": "on",
    "ENVIRONMENT": "development",
    "TRUSTED_PROXIES": "127.0.0.0/8",
    "CALLER_WRONG_CODES_PER_HOUR": "10",
    "BROKEN_SMS_SECRET": secrets.token_hex(16),
}
PATIENCE = 60.0


class Account(BaseHTTPRequestHandler):
    """A provider's account with a balance."""

    balance = "100.0"

    def do_GET(self) -> None:
        body = json.dumps({"account_sid": "AC1", "balance": self.balance, "currency": "USD"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def account_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Account) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, account_url: str) -> Iterator[Stack]:
    """A private system: these tests stop its processes and its servers."""
    alerts.promtool()
    file: Path = tmp_path_factory.mktemp("alerts") / "senders.toml"
    file.write_text(CONFIG.replace("BALANCE_URL", account_url))
    with Stack.private(environ={**SETTINGS, "SMS_CONFIG_FILE": str(file)}) as stack:
        stack.start()
        yield stack


@pytest.fixture(scope="module")
async def app(stack: Stack) -> AsyncIterator[App]:
    async with App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True) as app:
        yield app


@pytest.fixture(scope="module")
async def tables(stack: Stack) -> AsyncIterator[Tables]:
    async with Tables.connect(stack.addresses["POSTGRES_URL"], stack.environ["PHONE_KEY"]) as tables:
        yield tables


class FaultWatch:
    """Observes a system before a fault, and again as soon as the fault shows."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.before = observe(stack)

    async def until(self, shows: Callable[[Observation], bool], *, gone: str = "") -> set[str]:
        """The alerts that fire in the state in which the fault shows. Nothing fires before.

        The process that is ``gone`` took its address with it.
        """
        async with asyncio.timeout(PATIENCE):
            while not shows(during := await asyncio.to_thread(observe, self._stack)):
                await asyncio.sleep(0.1)
        during = replace(during, gone=frozenset({gone}))
        quiet, fault = await asyncio.to_thread(firing, self.before, during)
        assert quiet <= LASTING
        return fault


LASTING = {
    "HaomaCodeChecksSlowed",
    "HaomaBudgetNearlySpent",
    "HaomaSenderDown",
    "HaomaSenderBalanceLow",
    "HaomaPrefixBlocked",
}
"""Alerts whose fault of another test lasts: an hour, a day, or until the breaker closes or a balance is read."""


@pytest.fixture
async def watch(stack: Stack) -> FaultWatch:
    """A system that has recovered from the test before."""

    def is_well(each: Observation) -> bool:
        return is_caught_up(each) and all(
            process is not None and has_recovered(process) for process in each.processes.values()
        )

    async with asyncio.timeout(PATIENCE):
        while not is_well(await asyncio.to_thread(observe, stack)):
            await asyncio.sleep(0.2)
    return FaultWatch(stack)


def has_recovered(process: Scrape) -> bool:
    """Whether every backend answers, every queue is consumed, and nothing waits or is parked."""
    healthy = {"haoma_backend_up": 1.0, "haoma_consuming": 1.0}
    healthy |= dict.fromkeys(
        ("haoma_outbox_lag_seconds", "haoma_outbox_parked_rows", "haoma_queue_messages_ready", "haoma_parked_messages"),
        0.0,
    )
    return all(value == healthy.get(name, value) for (name, _), value in process.samples.items())


def is_caught_up(each: Observation) -> bool:
    """Whether the directory of contacts-service has been read since it last stood still."""
    caught_up = value(each, "contacts-service", "haoma_directory_caught_up_timestamp_seconds")
    return each.at - caught_up < alerts.STANDS_STILL_SECONDS / 2


def value(each: Observation, process: str, name: str, **labels: str) -> float:
    found = each.processes[process]
    return found.value(name, **labels) if found else 0.0


def grew(watch: FaultWatch, process: str, name: str, by: float = 1, **labels: str) -> Callable[[Observation], bool]:
    start = value(watch.before, process, name, **labels)
    return lambda during: value(during, process, name, **labels) >= start + by


@asynccontextmanager
async def paused(part: Any) -> AsyncIterator[None]:
    part.pause()
    try:
        yield
    finally:
        part.resume()


@pytest.mark.parametrize("gone", ["", "contacts-service"], ids=["whose address stays", "whose address is gone too"])
async def test_a_process_that_died(stack: Stack, watch: FaultWatch, gone: str) -> None:
    name = "contacts-service"
    stack.services[name].kill()
    try:
        assert "HaomaProcessDown" in await watch.until(lambda during: during.processes[name] is None, gone=gone)
    finally:
        await asyncio.to_thread(stack.services[name].start)


async def test_a_server_that_does_not_answer(stack: Stack, watch: FaultWatch) -> None:
    async with paused(stack.servers.redis):
        fired = await watch.until(
            lambda during: value(during, "contacts-service", "haoma_backend_up", backend="redis") == 0
        )
    assert "HaomaBackendDown" in fired


async def test_a_service_that_does_not_answer_the_gateway(stack: Stack, watch: FaultWatch) -> None:
    labels = {"backend": "auth-service"}
    async with paused(stack.services["auth-service"]):
        fired = await watch.until(lambda during: value(during, "gateway", "haoma_backend_up", **labels) == 0)
    assert "HaomaBackendDown" in fired


async def test_requests_that_end_as_busy_and_late(stack: Stack, app: App, watch: FaultWatch) -> None:
    async with paused(stack.servers.postgres):
        await asyncio.gather(*(app.log_in(fresh_number(), "a password") for _ in range(10)))
        fired = await watch.until(grew(watch, "gateway", "haoma_refusals_total", 10, code="unavailable"))
    assert {"HaomaErrors", "HaomaSlow"} <= fired


async def test_a_pool_with_no_connection_left(stack: Stack, app: App, watch: FaultWatch) -> None:
    async with paused(stack.servers.postgres), running(show_tokens(app), name="callers"):
        fired = await watch.until(lambda during: value(during, "auth-service", "haoma_pool_waiting") > 0)
    assert "HaomaPoolExhausted" in fired


async def show_tokens(app: App) -> None:
    """Many clients, each with a session that must be looked up."""
    while True:
        tokens = [secrets.token_urlsafe(32) for _ in range(60)]
        await asyncio.gather(*(native.call(app, "GET", "/v2/me", token) for token in tokens))


async def test_a_process_that_gets_no_cpu(stack: Stack, watch: FaultWatch) -> None:
    gateway = stack.services["gateway"]

    def lags(during: Observation) -> bool:
        gateway.pause()
        try:
            wait_a_second(stack)
        finally:
            gateway.resume()
        in_time = value(during, "gateway", "haoma_event_loop_lag_seconds_bucket", le="0.25")
        return value(during, "gateway", "haoma_event_loop_lag_seconds_count") - in_time >= 3

    assert "HaomaEventLoopLags" in await watch.until(lags)


def wait_a_second(stack: Stack) -> None:
    """Wait until the event loop of another process has turned for a second."""
    start = scrape(stack, "auth-service").value("haoma_event_loop_lag_seconds_count")
    while scrape(stack, "auth-service").value("haoma_event_loop_lag_seconds_count") < start + 2:
        pass


async def test_more_log_ins_than_the_threads_can_hash(app: App, watch: FaultWatch) -> None:
    await asyncio.gather(*(app.log_in(fresh_number(), "a password") for _ in range(250)))
    assert "HaomaHashingShed" in await watch.until(grew(watch, "auth-service", "haoma_hash_shed_total"))


async def test_an_old_back_end_that_is_away(stack: Stack, app: App, watch: FaultWatch) -> None:
    source = {"USER_SOURCE_URL": "http://127.0.0.1:1/", "USER_SOURCE_SECRET": secrets.token_hex(32)}
    try:
        await asyncio.to_thread(restart_auth_service, stack, source)
        for _ in range(8):
            await app.log_in(fresh_number(), "a password")
        fired = await watch.until(lambda during: value(during, "auth-service", "haoma_user_source_circuit_open") == 1)
    finally:
        await asyncio.to_thread(restart_auth_service, stack, {})
    assert "HaomaUserSourceDown" in fired


def restart_auth_service(stack: Stack, env: dict[str, str]) -> None:
    """Start it anew at its port, with more settings or without them."""
    stack.services["auth-service"].stop()
    stack.launch("auth-service", env=env)


async def test_log_ins_that_mostly_fail(app: App, watch: FaultWatch) -> None:
    for _ in range(10):  # a few at a time, so that they are compared, and not refused as too many
        await asyncio.gather(*(app.log_in(fresh_number(), "a password") for _ in range(4)))
    refused = {"outcome": "credentials_refused"}
    assert "HaomaLogInsGuessed" in await watch.until(grew(watch, "auth-service", "haoma_log_ins_total", 31, **refused))


async def test_codes_that_no_worker_sends(stack: Stack, app: App, watch: FaultWatch) -> None:
    stack.services["sms-worker"].kill()
    try:
        await app.send_code(fresh_number())
        fired = await watch.until(grew(watch, "sms-service", "haoma_codes_requested_total"))
    finally:
        await asyncio.to_thread(stack.services["sms-worker"].start)
    assert {"HaomaNoCodesSent", "HaomaProcessDown"} <= fired


async def test_codes_that_are_not_entered(app: App, watch: FaultWatch) -> None:
    await app.send_code(fresh_number())
    fired = await watch.until(grew(watch, "sms-service", "haoma_codes_requested_total", dialect="maitian"))
    assert "HaomaFewCodesVerified" in fired


async def test_a_sender_that_keeps_failing(app: App, watch: FaultWatch) -> None:
    for _ in range(6):
        await app.send_code(f"19911{secrets.randbelow(10**6):06d}")
    fired = await watch.until(
        lambda during: value(during, "sms-worker", "haoma_sender_circuit_open", sender="broken") == 1
    )
    assert "HaomaSenderDown" in fired


async def test_a_prepaid_account_that_is_nearly_empty(
    stack: Stack, watch: FaultWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Account, "balance", "3.5")
    stack.services["sms-worker"].kill()
    await asyncio.to_thread(stack.services["sms-worker"].start)  # it reads balances at once
    fired = await watch.until(
        lambda during: value(during, "sms-worker", "haoma_sender_balance", sender="prepaid") == 3.5
    )
    assert "HaomaSenderBalanceLow" in fired


async def test_codes_that_are_guessed(app: App, watch: FaultWatch) -> None:
    numbers = [fresh_number() for _ in range(12)]
    for number in numbers:
        await app.send_code(number)
        await app.verify(number, wrong(await app.code(number)))
    fired = await watch.until(lambda during: value(during, "sms-service", "haoma_code_checks_slowed") == 1)
    assert "HaomaCodeChecksSlowed" in fired


TIME_TO_ENTER_THEM_PASSES = """
    update prefix_traffic set starts_at = starts_at - interval '20 minutes'
    where range = '+861993311' and sent >= 6 returning true
"""


async def test_a_prefix_that_is_blocked(app: App, tables: Tables, watch: FaultWatch) -> None:
    for last in range(6):
        await app.send_code(f"1993311000{last}")
    async with asyncio.timeout(PATIENCE):
        while await tables.connections["sms"].fetchval(TIME_TO_ENTER_THEM_PASSES) is None:
            await asyncio.sleep(0.1)
    fired = await watch.until(
        lambda during: value(during, "sms-service", "haoma_prefix_stages", kind="range", stage="blocked") > 0
    )
    assert "HaomaPrefixBlocked" in fired


async def test_a_budget_that_is_nearly_spent(app: App, watch: FaultWatch) -> None:
    for _ in range(4):
        await app.send_code(f"199222{secrets.randbelow(10**5):05d}")
    fired = await watch.until(lambda during: value(during, "sms-worker", "haoma_budget_used_ratio", span="day") > 0.6)
    assert "HaomaBudgetNearlySpent" in fired


async def test_a_broker_that_is_away(stack: Stack, app: App, tables: Tables, watch: FaultWatch) -> None:
    stack.servers.rabbitmq.stop()
    try:
        await app.send_code(fresh_number())
        await tables.connections["sms"].execute("update outbox set created_at = now() - interval '2 minutes'")

        def shows(during: Observation) -> bool:
            is_consuming = value(during, "sms-worker", "haoma_consuming", queue="sms.send")
            return value(during, "sms-service", "haoma_outbox_lag_seconds") > 30 and not is_consuming

        fired = await watch.until(shows)
    finally:
        await asyncio.to_thread(stack.servers.rabbitmq.start)
    assert {"HaomaOutboxLags", "HaomaNotConsuming"} <= fired


async def test_a_queue_that_grows(stack: Stack, watch: FaultWatch) -> None:
    async with paused(stack.servers.postgres):
        await publish(stack, [json.dumps({"message_ids": [str(uuid4())]}).encode() for _ in range(3000)])
        fired = await watch.until(
            lambda during: value(during, "sms-worker", "haoma_queue_messages_ready", queue="sms.send") > 1000
        )
    assert "HaomaQueueLong" in fired


async def test_a_message_that_cannot_be_read(stack: Stack, tables: Tables, watch: FaultWatch) -> None:
    await publish(stack, [b"nonsense"])
    try:
        fired = await watch.until(lambda during: value(during, "sms-service", "haoma_parked_messages") > 0)
    finally:
        await tables.connections["sms"].execute("delete from parked_messages")
    assert "HaomaMessagesParked" in fired


async def test_a_row_that_the_broker_refuses(tables: Tables, watch: FaultWatch) -> None:
    sms = tables.connections["sms"]
    row = uuid4()
    await sms.execute(
        "insert into outbox (id, exchange, routing_key, body, created_at)"
        " values ($1, 'sms.send', 'no.such.queue', 'test', now() - interval '1 minute')",
        row,
    )
    try:
        fired = await watch.until(lambda during: value(during, "sms-service", "haoma_outbox_parked_rows") > 0)
    finally:
        await sms.execute("delete from outbox where id = $1", row)
    assert "HaomaOutboxParked" in fired


async def test_a_directory_that_is_not_read(stack: Stack, watch: FaultWatch) -> None:
    def stands_still(during: Observation) -> bool:
        caught_up = value(during, "contacts-service", "haoma_directory_caught_up_timestamp_seconds")
        return during.at - caught_up > alerts.STANDS_STILL_SECONDS

    async with locked(stack, "contacts", "directory"):
        fired = await watch.until(stands_still)
    assert "HaomaDirectoryStale" in fired


@asynccontextmanager
async def locked(stack: Stack, database: str, table: str) -> AsyncIterator[None]:
    """No other session reads or writes the table."""
    session = await asyncpg.connect(f"{stack.addresses['POSTGRES_URL'].rpartition('/')[0]}/{database}")
    try:
        await session.execute(f"begin; lock table {table}")
        yield
    finally:
        await session.close()


async def test_refresh_tokens_that_come_back(app: App, tables: Tables, watch: FaultWatch) -> None:
    for _ in range(2):
        stolen = await native.register(app, fresh_number())
        first = {"refresh_token": stolen["tokens"]["refresh_token"]}
        second = await native.call(app, "POST", "/v2/sessions/refresh", **first)
        await native.call(app, "POST", "/v2/sessions/refresh", refresh_token=second.body["refresh_token"])
        await tables.connections["auth"].execute("update refresh_tokens set spent_at = spent_at - interval '1 minute'")
        assert (await native.call(app, "POST", "/v2/sessions/refresh", **first)).status == 401
    fired = await watch.until(grew(watch, "auth-service", "haoma_refreshes_total", 2, outcome="reused"))
    assert "HaomaRefreshTokensReused" in fired


LEASE_TAKEN = """
    insert into job_leases (job, taken_at) values ('audit_seal', now() + interval '1 day')
    on conflict (job) do update set taken_at = excluded.taken_at
"""
"""Another process seals, for all that this system's processes know."""


async def test_an_audit_log_that_is_not_sealed(stack: Stack, app: App, tables: Tables, watch: FaultWatch) -> None:
    auth = tables.connections["auth"]
    await auth.execute(LEASE_TAKEN)
    watch = FaultWatch(stack)
    try:
        await app.log_in(fresh_number(), "a password")
        turns = "haoma_event_loop_lag_seconds_count"  # two a second: longer than a turn of the sealer
        fired = await watch.until(grew(watch, "auth-service", turns, 25))
    finally:
        await auth.execute("update job_leases set taken_at = now()")
    assert "HaomaAuditNotSealed" in fired


async def publish(stack: Stack, bodies: list[bytes]) -> None:
    """Put messages into the queue of commands."""
    async with await aio_pika.connect(stack.addresses["AMQP_URL"]) as connection:
        channel = await connection.channel(publisher_confirms=False)
        exchange = await channel.get_exchange("sms.send")
        for body in bodies:
            await exchange.publish(aio_pika.Message(body, delivery_mode=2), "sms.send")


def test_every_alert_is_provoked_here() -> None:
    text = Path(__file__).read_text()
    assert [name for name in alerts.ALERTS if text.count(f'"{name}"') <= (name in LASTING)] == []


async def test_the_files_are_valid_for_prometheus() -> None:
    alerts.check("config", "prometheus.yml")
    alerts.check("rules", "alerts.yml")


@pytest.mark.parametrize("process", ["gateway", "auth-service", "sms-service", "sms-worker", "contacts-service"])
async def test_what_a_process_reports_is_what_prometheus_expects(stack: Stack, process: str) -> None:
    alerts.check("metrics", stdin=read(stack, process))
