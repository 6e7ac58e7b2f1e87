"""The filter of registered numbers in a running system: most new numbers cost no question, and no taken number is free."""

import json
import secrets
from pathlib import Path

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number
from support.database import Tables
from support.dialect_clients import DIALECT_CLIENTS, Environment
from support.metrics import scrape
from support.moving import import_users
from support.native import call, eventually, register

LOOK_UPS = "haoma_number_look_ups_total"
BATCH = 20


def look_ups(system: Stack, outcome: str) -> float:
    return scrape(system, "gateway").value(LOOK_UPS, outcome=outcome)


async def send(app: App, number: str) -> tuple[int, object]:
    sent = await call(app, "POST", "/v2/verifications", phone=number, purpose="sign_up")
    return sent.status, sent.body.get("code")


async def registered_long_before(system: Stack, app: App, tables: Tables) -> str:
    """A number with an account that the filter knows, and without activity."""
    number = fresh_number()
    await register(app, number)

    async def is_known() -> bool:
        before = look_ups(system, "asked")
        assert await send(app, number) == (409, "number_taken")
        return look_ups(system, "asked") > before

    await eventually(is_known)
    await tables.connections["sms"].execute("delete from number_activity where phone_ref = $1", tables.ref(number))
    return number


async def test_most_new_numbers_get_their_code_without_a_question(system: Stack, app: App) -> None:
    async def is_spared() -> bool:
        before = look_ups(system, "spared")
        assert (await send(app, fresh_number()))[0] == 202
        return look_ups(system, "spared") == before + 1

    await eventually(is_spared)
    before = look_ups(system, "spared")
    for _ in range(BATCH):
        assert (await send(app, fresh_number()))[0] == 202
    assert look_ups(system, "spared") >= before + BATCH // 2


def told(reply: Reply) -> tuple[int, dict[str, object]]:
    """What a reply says, without its time."""
    return reply.status, {name: value for name, value in reply.body.items() if name != "timestamp"}


@pytest.mark.parametrize("contract", DIALECT_CLIENTS)
async def test_a_number_is_taken_from_the_moment_of_its_registration(
    system: Stack, app: App, tables: Tables, contract: str
) -> None:
    client, environment, number = DIALECT_CLIENTS[contract], Environment(app, tables), fresh_number()
    old = await registered_long_before(system, app, tables)
    await register(app, number)

    at_once = await client.send_registration_code(environment, number)
    later = await client.send_registration_code(environment, old)

    assert told(at_once) == told(later)
    assert (await send(app, number)) == (409, "number_taken")


async def test_a_number_that_is_gained_without_a_code_is_taken_within_seconds(
    system: Stack, app: App, tmp_path: Path
) -> None:
    number, file = fresh_number(), tmp_path / "users.ndjson"
    file.write_text(json.dumps({"id": secrets.randbelow(2**46) + 1, "phone": number}) + "\n")
    status, output = await import_users(system, file)
    assert status == 0, output

    async def is_known() -> bool:
        before = look_ups(system, "asked")
        assert (await send(app, fresh_number()))[0] == 202
        return (await send(app, number)) == (409, "number_taken") and look_ups(system, "asked") > before

    await eventually(is_known)


async def test_a_number_stays_taken_when_the_activity_of_its_registration_is_lost(
    system: Stack, app: App, tables: Tables
) -> None:
    number = await registered_long_before(system, app, tables)
    assert await send(app, number) == (409, "number_taken")
