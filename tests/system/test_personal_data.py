"""The copy of a user's data: what is in it, and that every place with traces of a user is on docs/security/personal-data.md."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables
from support.native import call, eventually, is_found, register, ticket
from support.traces import TracedUser, found_in_redis, found_in_tables

from shared.keys import KeyRing
from sms_service.number_seal import NumberSeal

PAGE = Path(__file__).parents[2] / "docs/security/personal-data.md"
LISTED = re.compile(r"^\| `(\w+\.\w+)` \| (.+) \|$", re.MULTILINE)
FIELDS = re.compile(r"^\| `(\w+)` \| .+ \|$", re.MULTILINE)
PASSWORD = "correct horse"


@pytest.fixture
async def cache(system: Stack) -> AsyncIterator["redis.asyncio.Redis"]:
    client = redis.asyncio.from_url(system.addresses["REDIS_URL"])
    yield client
    await client.aclose()


async def lived(app: App, tables: Tables, seal: NumberSeal) -> TracedUser:
    """A user who has left a trace wherever users leave one, and whom others find."""
    number, texts = fresh_number(), ("Exporta", "export this motto")
    registered = await register(app, number, password=PASSWORD, nickname=texts[0])
    user = TracedUser(number, registered["account"]["user_id"], registered["tokens"]["access_token"], texts, seal)
    assert (await call(app, "POST", "/v2/sessions", phone=number, password="wrong horse")).status == 403
    await call(app, "PATCH", "/v2/me", user.token, motto=texts[1])
    await call(app, "POST", "/v2/contacts/match", user.token, phones=[fresh_number(), fresh_number()])
    await tables.age(number, 61)
    await call(app, "POST", "/v2/sessions", ticket=await ticket(app, number, "sign_in"))
    await tables.age(number, 61)
    friend = (await register(app, fresh_number()))["tokens"]["access_token"]
    await eventually(lambda: is_found(app, friend, number))
    return user


@pytest.fixture
async def user(app: App, system: Stack, tables: Tables) -> TracedUser:
    return await lived(app, tables, NumberSeal(KeyRing.parse(system.environ["PHONE_SEAL_KEYS"])))


async def copy_of(app: App, user: TracedUser, **proof: str) -> dict[str, Any]:
    reply = await call(app, "POST", "/v2/me/export", user.token, **proof or {"password": PASSWORD})
    assert reply.status == 200, reply.body
    assert reply.headers["Content-Disposition"] == 'attachment; filename="personal-data.json"'
    return dict(reply.body)


async def test_a_copy_has_what_every_service_stores(app: App, user: TracedUser) -> None:
    copy = await copy_of(app, user)

    account = copy["account"]
    assert (account["phone"], account["nickname"], account["motto"]) == (f"+86{user.number}", *user.texts)
    assert (account["user_id"], account["has_password"], account["is_imported"]) == (user.user_id, True, False)
    assert [session["current"] for session in copy["sessions"]] == [False, True]
    assert copy["contacts"]["entry"]["nickname"] == "Exporta"
    assert copy["contacts"]["look_ups"]["numbers"] == 2
    assert [message["purpose"] for message in copy["messages"]] == ["sign_up", "sign_in"]
    assert [(event["kind"], event["purpose"]) for event in copy["code_events"]] == [
        ("correct", "sign_up"), ("correct", "sign_in"),
    ]  # fmt: skip
    actions = [row["action"] for row in copy["activity"]]
    assert actions[0] == "register.succeeded"
    assert actions[-1] == "export.succeeded"
    assert {"log_in_with_password.refused", "change_profile.succeeded", "log_in_with_code.succeeded"} <= set(actions)


async def test_a_copy_has_no_hash_code_token_or_key(app: App, user: TracedUser, tables: Tables) -> None:
    text = json.dumps(await copy_of(app, user))

    row = await tables.connections["auth"].fetchrow("select * from accounts where user_id = $1", user.user_id)
    assert row is not None
    assert row["password_hash"] not in text
    assert "argon2" not in text
    assert user.token not in text
    for (token_hash,) in await tables.connections["auth"].fetch(
        "select token_hash from sessions where user_id = $1", user.user_id
    ):
        assert token_hash.hex() not in text
    assert str(tables.ref(user.number)) not in text


async def test_a_code_for_it_is_a_proof_and_goes_to_the_own_number_only(app: App, user: TracedUser) -> None:
    assert (await call(app, "POST", "/v2/me/export", user.token)).body["code"] == "proof_required"
    elsewhere = await call(app, "POST", "/v2/verifications", user.token, phone=fresh_number(), purpose="export")
    assert (elsewhere.status, elsewhere.body["field"]) == (400, "phone")

    proof = await ticket(app, user.number, "export", user.token)

    assert (await copy_of(app, user, ticket=proof))["messages"][-1]["purpose"] == "export"
    erased = await call(app, "POST", "/v2/me/erase", user.token, ticket=proof)
    assert erased.body["code"] == "code_refused"


async def test_every_place_with_traces_of_a_user_is_on_the_page(
    user: TracedUser, tables: Tables, cache: "redis.asyncio.Redis"
) -> None:
    places = (await found_in_tables(user, tables)).keys() | (await found_in_redis(cache, user, tables)).keys()

    listed = dict(LISTED.findall(PAGE.read_text()))
    assert places - listed.keys() == set()
    assert {"auth.accounts", "auth.audit_log", "sms.messages", "contacts.directory"} <= places


async def test_the_page_names_places_and_fields_that_exist(app: App, user: TracedUser, tables: Tables) -> None:
    page = PAGE.read_text()
    places = {"redis.callers", "redis.contacts"}
    for database, connection in tables.connections.items():
        rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        places |= {f"{database}.{table}" for (table,) in rows}

    assert dict(LISTED.findall(page)).keys() <= places
    assert set(FIELDS.findall(page)) == (await copy_of(app, user)).keys()
