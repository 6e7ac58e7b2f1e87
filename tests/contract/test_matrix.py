"""All contracts share one core: users who register through one of them can use every other."""

import pytest
from support.app import App, fresh_number
from support.database import Tables
from support.dialect_clients import DIALECT_CLIENTS, WITH_LOG_IN, WITH_RESET, DialectClient, Environment

from gateway.dialect_registry import installed_dialects

PASSWORD, CHANGED = "secret123", "changed123"


@pytest.fixture
def environment(app: App, tables: Tables) -> Environment:
    return Environment(app, tables)


async def register(
    environment: Environment, number: str, sender: DialectClient, registrar: DialectClient
) -> int | None:
    """Register with a code that ``sender`` requested. Returns the user's id if the response contains it."""
    sent = await sender.send_registration_code(environment, number)
    assert sent.status < 300, sent.body
    response = await registrar.register(environment, number, PASSWORD, await environment.app.code(number))
    assert response.status < 300, response.body
    return registrar.user_of(response.body)


async def log_in_everywhere(environment: Environment, number: str, password: str) -> int:
    """Log in through each dialect that has a log-in. Returns the user's id, which is the same in all of them."""
    users = set()
    for name, client in WITH_LOG_IN.items():
        assert client.log_in is not None
        response = await client.log_in(environment, number, password)
        assert response.status < 300, (name, response.body)
        users.add(client.user_of(response.body))
    (user,) = users
    assert user is not None
    return user


def test_every_dialect_has_a_client() -> None:
    assert set(DIALECT_CLIENTS) == {dialect.name for dialect in installed_dialects()}


@pytest.mark.parametrize("registrar", DIALECT_CLIENTS)
@pytest.mark.parametrize("sender", DIALECT_CLIENTS)
async def test_a_code_sent_through_one_dialect_registers_through_another_and_the_user_logs_in_everywhere(
    environment: Environment, sender: str, registrar: str
) -> None:
    number = fresh_number()

    user_id = await register(environment, number, DIALECT_CLIENTS[sender], DIALECT_CLIENTS[registrar])

    assert await log_in_everywhere(environment, number, PASSWORD) == user_id or user_id is None


@pytest.mark.parametrize("resetter", WITH_RESET)
@pytest.mark.parametrize("sender", WITH_RESET)
@pytest.mark.parametrize("registrar", DIALECT_CLIENTS)
async def test_a_user_of_one_dialect_resets_through_another_with_a_code_sent_through_a_third(
    environment: Environment, registrar: str, sender: str, resetter: str
) -> None:
    send_code, reset = WITH_RESET[sender].send_reset_code, WITH_RESET[resetter].reset
    assert send_code is not None
    assert reset is not None
    number = fresh_number()
    await register(environment, number, DIALECT_CLIENTS[registrar], DIALECT_CLIENTS[registrar])
    await environment.end_cooldown(number)

    assert (await send_code(environment, number)).status < 300
    changed = await reset(environment, number, CHANGED, await environment.app.code(number))

    user = await log_in_everywhere(environment, number, CHANGED)
    assert WITH_RESET[resetter].user_of(changed.body) in {user, None}
    for client in WITH_LOG_IN.values():
        assert client.log_in is not None
        refused = (await client.log_in(environment, number, PASSWORD)).body
        with pytest.raises(LookupError):
            client.user_of(refused)


@pytest.mark.parametrize("registrar", DIALECT_CLIENTS)
async def test_a_registration_that_the_client_repeats_succeeds_again(environment: Environment, registrar: str) -> None:
    number, client = fresh_number(), DIALECT_CLIENTS[registrar]
    assert (await client.send_registration_code(environment, number)).status < 300
    code = await environment.app.code(number)

    responses = [await client.register(environment, number, PASSWORD, code) for _ in range(3)]

    assert {response.status < 300 for response in responses} == {True}
    assert len({client.user_of(response.body) for response in responses}) == 1
    await log_in_everywhere(environment, number, PASSWORD)


@pytest.mark.parametrize("resetter", WITH_RESET)
async def test_a_reset_that_the_client_repeats_succeeds_again(environment: Environment, resetter: str) -> None:
    send_code, reset = WITH_RESET[resetter].send_reset_code, WITH_RESET[resetter].reset
    assert send_code is not None
    assert reset is not None
    number = fresh_number()
    user_id = await register(environment, number, DIALECT_CLIENTS["maitian"], DIALECT_CLIENTS["maitian"])
    await environment.end_cooldown(number)
    assert (await send_code(environment, number)).status < 300
    code = await environment.app.code(number)

    responses = [await reset(environment, number, CHANGED, code) for _ in range(3)]

    assert {response.status < 300 for response in responses} == {True}
    assert await log_in_everywhere(environment, number, CHANGED) == user_id
