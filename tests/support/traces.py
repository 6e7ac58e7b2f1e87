"""Traces of a user: where their number, their texts, their id and their references are, in every store."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import redis.asyncio
from cryptography.exceptions import InvalidTag

from shared.phone import E164, ref_hex
from sms_service.number_seal import NumberSeal
from support.database import Tables

REDIS_VALUES = {"hash": "hgetall", "set": "smembers", "zset": "zrange", "list": "lrange"}


@dataclass(frozen=True)
class TracedUser:
    """A user whose traces are searched for. ``texts`` are their own. ``seal`` opens sealed numbers."""

    number: str
    user_id: int
    token: str
    texts: tuple[str, ...]
    seal: NumberSeal


def parse_number(number: str) -> E164:
    return E164(f"+86{number}")


def traces(user: TracedUser, tables: Tables) -> dict[str, list[bytes]]:
    """How each form of a user may look, as the pages about personal data name the forms."""
    ref = tables.ref(user.number)
    reference = [str(ref), ref_hex(ref), repr(ref)]
    return {
        "number": [user.number.encode(), *(text.encode() for text in user.texts)],
        "user id": [str(user.user_id).encode()],
        "reference": [text.encode() for text in reference],
        "mark": [tables.keys.mark(parse_number(user.number)).hex().encode()],
    }


def opens(value: object, user: TracedUser) -> bool:
    """Whether our key decrypts these bytes to the number."""
    try:
        return isinstance(value, bytes) and user.seal.open(value) == parse_number(user.number)
    except (InvalidTag, ValueError):
        return False


def forms_in(values: Iterable[object], user: TracedUser, tables: Tables) -> set[str]:
    """The forms of a user's traces among these values."""
    found, forms = set(), traces(user, tables)
    for value in values:
        seen = value.hex().encode() + b" " + value if isinstance(value, bytes) else str(value).encode()
        found |= {form for form, texts in forms.items() if any(text in seen for text in texts)}
        if opens(value, user):
            found.add("sealed number")
    return found


async def found_in_tables(user: TracedUser, tables: Tables) -> dict[str, set[str]]:
    """The forms of a user's traces, by table."""
    found = {}
    for database, connection in tables.connections.items():
        for (table,) in await connection.fetch("select tablename from pg_tables where schemaname = 'public'"):
            values = [value for row in await connection.fetch(f'select * from "{table}"') for value in row.values()]
            found[f"{database}.{table}"] = forms_in(values, user, tables)
    return {table: forms for table, forms in found.items() if forms}


async def found_in_redis(cache: "redis.asyncio.Redis", user: TracedUser, tables: Tables) -> dict[str, set[str]]:
    """The forms of a user's traces, by the first word of the key."""
    found: dict[str, set[str]] = {}
    async for key in cache.scan_iter(count=1000):
        place = "redis." + re.match(r"\W*(\w*)", key.decode())[1]  # type: ignore[index]
        values = [key.decode(), *await values_of(cache, key)]
        found.setdefault(place, set()).update(forms_in(values, user, tables))
    return {place: forms for place, forms in found.items() if forms}


async def values_of(cache: "redis.asyncio.Redis", key: bytes) -> list[object]:
    """What is stored under the key: nothing if it has expired since it was listed."""
    kind = (await cache.type(key)).decode()
    if kind == "none":
        return []
    if kind == "string":
        return [await cache.get(key)]
    more = [0, -1] if kind in {"zset", "list"} else []
    value = await cache.execute_command(REDIS_VALUES[kind], key, *more)
    return [*value, *value.values()] if isinstance(value, dict) else list(value)
