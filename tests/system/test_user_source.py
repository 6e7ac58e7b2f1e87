"""Users whom only the old back end has, in every contract: log-in, reset, "is it taken"; and its outage.

The old back end is the sample of ``docs/moving-in.md``.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number
from support.database import Tables
from support.dialect_clients import DIALECT_CLIENTS, WITH_LOG_IN, WITH_RESET, Environment
from support.metrics import scrape
from support.old_back_end import OldBackEnd, old_back_end
from support.patience import until_answered

PASSWORD, OTHER = "correct horse", "battery staple"
AUTH = "auth-of-old-users"
TAKEN = {
    "maitian": "10000",
    "native": "number_taken",
    "phone_info": "USER_PHONE_EXIST",
    "register_page": "1003",
    "tel": "您的手机号码已被注册了。",
}
BUSY = {
    "maitian": "10010",
    "native": "unavailable",
    "phone_info": "SEND_MESSAGE_ERROR",
    "register_page": "1099",
    "tel": "系统繁忙，请稍后再试。",
}
BUSY_AT_LOG_IN = BUSY | {"maitian": "20010"}


@pytest.fixture
def old(tmp_path: Path) -> Iterator[OldBackEnd]:
    with old_back_end(tmp_path) as back_end:
        yield back_end


@pytest.fixture
async def environment(system: Stack, app: App, tables: Tables, old: OldBackEnd) -> AsyncIterator[Environment]:
    """A gateway before an auth-service that asks the old back end."""
    auth = system.launch("auth-service", label=AUTH, env=old.environment | {"USER_SOURCE_SECONDS": "2"})
    gateway = system.launch("gateway", label="gateway-of-old-users", env={"AUTH_URL": auth.url})
    yield Environment(replace(app, gateway=gateway.url), tables)
    for service in (gateway, auth):
        service.stop()


def old_user(old: OldBackEnd) -> tuple[int, str]:
    """A user whom only the old back end has: their id and number."""
    user_id, number, salt = secrets.randbelow(2**46) + 1, fresh_number(), secrets.token_hex(3)
    digest = hashlib.md5((hashlib.md5(PASSWORD.encode()).hexdigest() + salt).encode()).hexdigest()
    old.add(user_id, number, f"user {number}", digest, salt)
    return user_id, number


async def log_in(environment: Environment, contract: str, number: str, password: str) -> Reply:
    call = WITH_LOG_IN[contract].log_in
    assert call is not None
    return await call(environment, number, password)


def word_of(reply: Reply) -> str | None:
    """What a refusal says, in the words of its contract."""
    names = ("error_code", "errorCode", "error", "code")
    return next((str(reply.body[name]) for name in names if name in reply.body), None)


async def test_old_users_log_in_with_their_passwords_in_each_contract(
    environment: Environment, old: OldBackEnd
) -> None:
    for contract, client in WITH_LOG_IN.items():
        user_id, number = old_user(old)
        before = len(old.statuses)
        wrong = await until_answered(lambda: log_in(environment, contract, number, OTHER))  # noqa: B023
        assert word_of(wrong) is not None
        right = await until_answered(lambda: log_in(environment, contract, number, PASSWORD))  # noqa: B023
        assert client.user_of(right.body) == user_id, right.body
        assert old.statuses[before:] == ["200"]


async def test_old_users_reset_their_passwords_in_each_contract(environment: Environment, old: OldBackEnd) -> None:
    for contract, client in WITH_RESET.items():
        user_id, number = old_user(old)
        assert client.send_reset_code is not None
        assert client.reset is not None
        sent = await client.send_reset_code(environment, number)
        assert sent.status < 300, sent.body
        reset = await client.reset(environment, number, OTHER, await environment.app.code(number))
        assert client.user_of(reset.body) == user_id, reset.body
        logged_in = await until_answered(lambda: log_in(environment, contract, number, OTHER))  # noqa: B023
        assert client.user_of(logged_in.body) == user_id


async def test_numbers_of_old_users_are_taken_in_each_contract(environment: Environment, old: OldBackEnd) -> None:
    for contract, client in DIALECT_CLIENTS.items():
        _, number = old_user(old)
        assert word_of(await client.send_registration_code(environment, number)) == TAKEN[contract]
    _, number = old_user(old)
    checked = await environment.post("/v1/register/checkPhone", {"phone": number})
    assert checked.body["errorCode"] == "1003"


async def test_new_users_register_in_each_contract_and_the_old_back_end_is_asked_once_for_each_number_and_name(
    environment: Environment, old: OldBackEnd
) -> None:
    for contract, client in DIALECT_CLIENTS.items():
        number, before = fresh_number(), len(old.statuses)
        assert (await client.send_registration_code(environment, number)).status < 300
        registered = await client.register(environment, number, PASSWORD, await environment.app.code(number))
        assert registered.status < 300, registered.body
        assert old.statuses[before:] == ["404"] * (2 if contract == "phone_info" else 1)


async def test_while_the_old_back_end_is_down_every_contract_says_so_and_no_number_is_free(
    environment: Environment, old: OldBackEnd, system: Stack
) -> None:
    here = fresh_number()
    await environment.app.register(here, PASSWORD)
    numbers = [old_user(old)[1] for _ in range(6)]
    old.stop()

    for contract, client in DIALECT_CLIENTS.items():
        sent = await client.send_registration_code(environment, numbers[0])
        assert word_of(sent) == BUSY[contract]
        assert int(sent.headers["Retry-After"]) >= 1
    for contract in WITH_LOG_IN:
        assert word_of(await log_in(environment, contract, numbers[1], PASSWORD)) == BUSY_AT_LOG_IN[contract]
        assert (await until_answered(lambda: log_in(environment, contract, here, PASSWORD))).status < 300  # noqa: B023
    metrics = scrape(system, AUTH)
    assert metrics.value("haoma_user_source_circuit_open") == 1
    assert metrics.value("haoma_user_source_requests_total", outcome="failed") == 5
    assert metrics.value("haoma_user_source_requests_total", outcome="open") >= 1

    old.start()
    logged_in = await until_answered(lambda: log_in(environment, "maitian", numbers[2], PASSWORD))
    assert logged_in.body["phone_number"] == numbers[2], logged_in.body
    assert scrape(system, AUTH).value("haoma_user_source_circuit_open") == 0
