"""What is left of an erased user: nothing but what docs/security/erasure.md lists, searched for in every store."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio
from stack.system import Stack
from support.app import App, fresh_number, wrong
from support.database import Tables
from support.native import call
from support.traces import TracedUser, found_in_redis, found_in_tables

from shared.keys import KeyRing
from sms_service.number_seal import NumberSeal

PAGE = Path(__file__).parents[2] / "docs/security/erasure.md"
LISTED = re.compile(r"^\| `(\w+\.\w+)` \| .+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
async def limited(system: Stack) -> AsyncIterator[App]:
    """A gateway before services with limits on callers, so that their counters have traces too."""
    limits = {"CALLER_LIMITS": "on", "CALLER_ALLOW_LIST": "198.51.100.0/24"}
    services = {
        f"{name.partition('-')[0].upper()}_URL": system.launch(name, label=f"erasure-{name}", env=limits)
        for name in ("auth-service", "sms-service", "contacts-service")
    }
    env = {name: service.url for name, service in services.items()}
    gateway = system.launch("gateway", label="erasure-gateway", env=env)
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    for service in (gateway, *services.values()):
        service.stop()


@pytest.fixture
async def cache(system: Stack) -> AsyncIterator["redis.asyncio.Redis"]:
    client = redis.asyncio.from_url(system.addresses["REDIS_URL"])
    yield client
    await client.aclose()


async def code_for(app: App, number: str, purpose: str, token: str | None = None) -> tuple[str, str]:
    """The challenge and the code of a new message."""
    sent = await call(app, "POST", "/v2/verifications", token, phone=number, purpose=purpose)
    assert sent.status == 202, sent.body
    return sent.body["challenge"], await app.code(number)


async def ticket(app: App, number: str, purpose: str, token: str | None = None) -> str:
    challenge, code = await code_for(app, number, purpose, token)
    for text in (wrong(code), code):
        checked = await call(app, "POST", "/v2/verifications/check", token, challenge=challenge, code=text)
    assert checked.status == 200, checked.body
    return str(checked.body["ticket"])


async def lived(app: App, tables: Tables, seal: NumberSeal) -> TracedUser:
    """A user who has left a trace wherever users leave one."""
    number = fresh_number()
    fields = {"ticket": await ticket(app, number, "sign_up"), "password": PASSWORD, "nickname": "Erasmus"}
    registered = (await call(app, "POST", "/v2/accounts", **fields)).body
    texts = ("Erasmus", "erase this motto")
    user = TracedUser(number, registered["account"]["user_id"], registered["tokens"]["access_token"], texts, seal)
    refused = await call(app, "POST", "/v2/verifications", phone=number, purpose="sign_in")
    assert refused.body["code"] == "cooldown"
    assert (await call(app, "POST", "/v2/sessions", phone=number, password="wrong horse")).status == 403
    await call(app, "PATCH", "/v2/me", user.token, motto="erase this motto")
    await call(app, "POST", "/v2/contacts/match", user.token, phones=[fresh_number()])
    await tables.age(number, 61)
    await call(app, "POST", "/v2/sessions", ticket=await ticket(app, number, "sign_in"))
    await tables.age(number, 61)
    return user


def listed() -> dict[str, set[str]]:
    """What the page says may stay, by place."""
    rows = LISTED.findall(PAGE.read_text())
    assert all(until.strip() for _, _, until in rows)
    return {place: {form.strip() for form in forms.split(",")} for place, forms, _ in rows}


async def eventually_forgotten(user: TracedUser, tables: Tables) -> None:
    """Wait until the other services have received the erasure, and all outboxes are empty."""
    end = time.monotonic() + 30
    while True:
        found = await found_in_tables(user, tables)
        late = {"sms.verifications", "auth.outbox", "sms.outbox", "contacts.outbox"} & found.keys()
        if not late and not found.get("contacts.directory", set()) - {"user id"}:
            return
        assert time.monotonic() < end, f"not forgotten: {found}"
        await asyncio.sleep(0.1)


async def test_what_an_erased_user_leaves_is_what_the_page_lists(
    system: Stack, limited: App, tables: Tables, cache: "redis.asyncio.Redis"
) -> None:
    user = await lived(limited, tables, NumberSeal(KeyRing.parse(system.environ["PHONE_SEAL_KEYS"])))
    before = await found_in_tables(user, tables)
    assert "number" in before["auth.accounts"]
    assert "sealed number" in before["sms.verifications"]
    assert "reference" in before["contacts.directory"]

    erased = await call(
        limited, "DELETE", "/v2/me", user.token, ticket=await ticket(limited, user.number, "erase", user.token)
    )
    assert erased.status == 204
    await eventually_forgotten(user, tables)

    left = await found_in_tables(user, tables) | await found_in_redis(cache, user, tables)
    unlisted = {place: forms - listed().get(place, set()) for place, forms in left.items()}
    assert {place: forms for place, forms in unlisted.items() if forms} == {}
    # Otherwise the search above would prove nothing.
    assert {"auth.spent_tickets", "auth.freed_numbers", "sms.attempts", "redis.callers"} <= left.keys()


async def test_the_page_names_every_place_and_gives_each_an_end(tables: Tables) -> None:
    places = set()
    for database, connection in tables.connections.items():
        rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        places |= {f"{database}.{table}" for (table,) in rows}

    assert listed().keys() <= places | {"redis.callers", "redis.contacts"}
    assert len(listed()) == len(re.findall(r"^\| `\w+\.", PAGE.read_text(), re.MULTILINE))
