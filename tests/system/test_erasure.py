"""What is left of an erased user: nothing but what docs/security/erasure.md lists, searched for in every store."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from cryptography.exceptions import InvalidTag
from stack.system import Stack
from support.app import App, fresh_number, wrong
from support.database import Tables
from support.native import call

from shared.keys import KeyRing
from shared.phone import ref_hex
from sms_service.number_seal import NumberSeal

PAGE = Path(__file__).parents[2] / "docs/security/erasure.md"
LISTED = re.compile(r"^\| `(\w+\.\w+)` \| .+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
PASSWORD = "correct horse"
REDIS_VALUES = {"hash": "hgetall", "set": "smembers", "zset": "zrange", "list": "lrange"}


@dataclass(frozen=True)
class User:
    """A user whose traces are searched for. ``seal`` opens sealed numbers."""

    number: str
    user_id: int
    token: str
    seal: NumberSeal


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


async def lived(app: App, tables: Tables, seal: NumberSeal) -> User:
    """A user who has left a trace wherever users leave one."""
    number = fresh_number()
    fields = {"ticket": await ticket(app, number, "sign_up"), "password": PASSWORD, "nickname": "Erasmus"}
    registered = (await call(app, "POST", "/v2/accounts", **fields)).body
    user = User(number, registered["account"]["user_id"], registered["tokens"]["access_token"], seal)
    refused = await call(app, "POST", "/v2/verifications", phone=number, purpose="sign_in")
    assert refused.body["code"] == "cooldown"
    assert (await call(app, "POST", "/v2/sessions", phone=number, password="wrong horse")).status == 403
    await call(app, "PATCH", "/v2/me", user.token, motto="erase this motto")
    await call(app, "POST", "/v2/contacts/match", user.token, phones=[fresh_number()])
    await tables.age(number, 61)
    await call(app, "POST", "/v2/sessions", ticket=await ticket(app, number, "sign_in"))
    await tables.age(number, 61)
    return user


def traces(user: User, tables: Tables) -> dict[str, list[bytes]]:
    """How each form of a user may look, as the page names the forms."""
    ref = tables.ref(user.number)
    reference = [str(ref), ref_hex(ref), repr(ref)]
    return {
        "number": [user.number.encode(), b"Erasmus", b"erase this motto"],
        "user id": [str(user.user_id).encode()],
        "reference": [text.encode() for text in reference],
        "mark": [tables.keys.mark(parse_number(user.number)).hex().encode()],
    }


def parse_number(number: str) -> Any:
    return f"+86{number}"


def opens(value: object, user: User) -> bool:
    """Whether our key decrypts these bytes to the number."""
    try:
        return isinstance(value, bytes) and user.seal.open(value) == parse_number(user.number)
    except (InvalidTag, ValueError):
        return False


def forms_in(values: Iterable[object], user: User, tables: Tables) -> set[str]:
    """The forms of a user's traces among these values."""
    found, forms = set(), traces(user, tables)
    for value in values:
        seen = value.hex().encode() + b" " + value if isinstance(value, bytes) else str(value).encode()
        found |= {form for form, texts in forms.items() if any(text in seen for text in texts)}
        if opens(value, user):
            found.add("sealed number")
    return found


async def found_in_tables(user: User, tables: Tables) -> dict[str, set[str]]:
    """The forms of a user's traces, by table."""
    found = {}
    for database, connection in tables.connections.items():
        for (table,) in await connection.fetch("select tablename from pg_tables where schemaname = 'public'"):
            values = [value for row in await connection.fetch(f'select * from "{table}"') for value in row.values()]
            found[f"{database}.{table}"] = forms_in(values, user, tables)
    return {table: forms for table, forms in found.items() if forms}


async def found_in_redis(cache: "redis.asyncio.Redis", user: User, tables: Tables) -> dict[str, set[str]]:
    """The forms of a user's traces, by the first word of the key."""
    found: dict[str, set[str]] = {}
    async for key in cache.scan_iter(count=1000):
        place = "redis." + re.match(r"\W*(\w*)", key.decode())[1]  # type: ignore[index]
        values = [key.decode(), *await values_of(cache, key)]
        found.setdefault(place, set()).update(forms_in(values, user, tables))
    return {place: forms for place, forms in found.items() if forms}


async def values_of(cache: "redis.asyncio.Redis", key: bytes) -> list[object]:
    kind = (await cache.type(key)).decode()
    if kind == "string":
        return [await cache.get(key)]
    more = [0, -1] if kind in {"zset", "list"} else []
    value = await cache.execute_command(REDIS_VALUES[kind], key, *more)
    return [*value, *value.values()] if isinstance(value, dict) else list(value)


def listed() -> dict[str, set[str]]:
    """What the page says may stay, by place."""
    rows = LISTED.findall(PAGE.read_text())
    assert all(until.strip() for _, _, until in rows)
    return {place: {form.strip() for form in forms.split(",")} for place, forms, _ in rows}


async def eventually_forgotten(user: User, tables: Tables) -> None:
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
