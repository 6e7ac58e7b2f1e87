"""The metrics of a running system: what users do is counted by purpose and contract, and no series names a user."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from stack.system import Stack
from support.app import App, fresh_number, wrong
from support.metrics import Scrape, read, scrape
from support.native import call, eventually, register, ticket

PROCESSES = ("gateway", "auth-service", "sms-service", "sms-worker", "contacts-service")
EVERY_PROCESS = pytest.mark.parametrize("process", PROCESSES)
PRIVATE = re.compile(r"[0-9]{7,}|[0-9]{1,3}(?:[.][0-9]{1,3}){3}|[0-9a-f]{8}-[0-9a-f]{4}|[+][0-9]")
"""A number or an id, an IPv4 address, a UUID, an international prefix."""


class Growth:
    """How much the counters of a process grew since the test began."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._before = {process: scrape(stack, process) for process in PROCESSES}

    def of(self, process: str, name: str, **labels: str) -> float:
        after: Scrape = scrape(self._stack, process)
        return after.value(name, **labels) - self._before[process].value(name, **labels)


@pytest.fixture
def growth(system: Stack) -> Growth:
    return Growth(system)


async def test_a_code_is_counted_when_it_is_requested_sent_and_verified(app: App, growth: Growth) -> None:
    number = fresh_number()
    await ticket(app, number, "sign_up")

    labels = {"purpose": "sign_up", "dialect": "native"}
    assert growth.of("sms-service", "haoma_codes_requested_total", **labels) >= 1
    assert growth.of("sms-service", "haoma_codes_checked_total", outcome="correct", **labels) >= 1

    async def is_sent() -> bool:
        return growth.of("sms-worker", "haoma_codes_sent_total", **labels) >= 1

    await eventually(is_sent)


async def test_a_code_that_is_used_again_counts_as_repeated(app: App, growth: Growth) -> None:
    number = fresh_number()
    await app.send_code(number)
    code = await app.code(number)
    for _ in range(2):
        await app.verify(number, code)

    assert growth.of("sms-service", "haoma_codes_checked_total", outcome="repeated", dialect="maitian") == 1


async def test_a_refused_request_and_an_incorrect_code_are_counted(app: App, growth: Growth) -> None:
    number = fresh_number()
    await app.send_code(number)
    await app.send_code(number)
    await app.verify(number, wrong(await app.code(number)))

    refused = {"limiter": "cooldown", "purpose": "sign_up", "dialect": "maitian"}
    assert growth.of("sms-service", "haoma_codes_refused_total", **refused) >= 1
    assert growth.of("sms-service", "haoma_codes_checked_total", outcome="incorrect", dialect="maitian") >= 1
    route = "/v1/user/register/verify_code.json"
    assert growth.of("gateway", "haoma_refusals_total", route=route, dialect="maitian", code="cooldown") >= 1


async def test_accounts_log_ins_and_sessions_are_counted(app: App, growth: Growth) -> None:
    number = fresh_number()
    await app.register(number, "a password")
    await app.log_in(number, "a password")
    await app.log_in(number, "another password")

    def grew(name: str, **labels: str) -> bool:
        return growth.of("auth-service", name, dialect="maitian", **labels) >= 1

    assert grew("haoma_accounts_registered_total")
    assert grew("haoma_log_ins_total", method="password", outcome="succeeded")
    assert grew("haoma_log_ins_total", method="password", outcome="credentials_refused")
    assert grew("haoma_sessions_opened_total", cause="register")
    assert grew("haoma_sessions_opened_total", cause="log_in_with_password")


async def test_refreshes_and_ended_sessions_are_counted(app: App, growth: Growth) -> None:
    number = fresh_number()
    user = await register(app, number, password="a password")
    for _ in range(2):
        await call(app, "POST", "/v2/sessions/refresh", refresh_token=user["tokens"]["refresh_token"])
    opened = await call(app, "POST", "/v2/sessions", phone=number, password="a password")
    await call(app, "DELETE", "/v2/sessions", opened.body["access_token"])

    assert growth.of("auth-service", "haoma_refreshes_total", outcome="succeeded") >= 1
    assert growth.of("auth-service", "haoma_refreshes_total", outcome="repeated") >= 1
    assert growth.of("auth-service", "haoma_sessions_ended_total", cause="ended_by_user") >= 1


async def test_matched_contacts_are_counted(app: App, growth: Growth) -> None:
    user = await app.register(fresh_number(), "a password")
    await app.check_contact(user["userId"], user["token"], [fresh_number(), fresh_number()])

    assert growth.of("contacts-service", "haoma_contacts_submitted_total") >= 2
    assert growth.of("contacts-service", "haoma_contacts_charged_total") >= 2


@EVERY_PROCESS
async def test_a_process_tells_its_name_and_version_and_that_its_backends_answer(system: Stack, process: str) -> None:
    async def all_answer() -> bool:
        samples = scrape(system, process).samples
        states = [value for (name, _), value in samples.items() if name == "haoma_backend_up"]
        return len(states) > 0 and set(states) == {1.0}

    await eventually(all_answer)
    assert scrape(system, process).value("haoma_build_info", process=process) == 1


@EVERY_PROCESS
async def test_a_process_tells_of_its_pools_and_its_event_loop(system: Stack, process: str) -> None:
    async def is_measured() -> bool:
        return scrape(system, process).value("haoma_event_loop_lag_seconds_count") > 0

    await eventually(is_measured)
    found = scrape(system, process)
    assert found.value("haoma_pool_size") > 0
    assert found.value("haoma_pool_waiting") == 0


@EVERY_PROCESS
def test_no_series_tells_when_a_counter_was_created(system: Stack, process: str) -> None:
    assert "_created" not in read(system, process)


def label_values(text: str) -> Iterator[str]:
    return iter(re.findall(r'="((?:[^"\\]|\\.)*)"', text))


@contextmanager
def unchanged_labels(system: Stack) -> Iterator[None]:
    """What happens in the block leaves no private value in a label of any process."""
    yield
    for process in PROCESSES:
        private = [value for value in label_values(read(system, process)) if PRIVATE.search(value)]
        assert private == [], process


async def test_no_label_holds_a_number_an_address_or_an_id(system: Stack, app: App) -> None:
    number = fresh_number()
    with unchanged_labels(system):
        user = await register(app, number, password="a password")
        await app.log_in(number, "wrong password")
        await call(app, "POST", "/v2/contacts/match", user["tokens"]["access_token"], phones=[fresh_number()])
        for path in (f"/v2/{number}", f"/v2/sessions/{number}", f"/+86{number}?phone={number}", f"/docs/{number}"):
            for method in ("GET", "DELETE", f"M{number}"):
                await app.call(method, path, headers={"X-Forwarded-For": "203.0.113.7", "User-Agent": number})
        await app.call("POST", "/v2/sessions", json={"phone": f"+86{number}", "password": number, "client": number})
        await app.call("GET", "/v1/user/register/verify_code.json", params={"source": number, "phone_number": number})
        await app.call("POST", f"/hooks/sms/{number}", data=number)
