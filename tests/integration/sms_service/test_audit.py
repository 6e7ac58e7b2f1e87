"""The audit trail of codes: a row for every check, sealed, and whole after an erasure."""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from support.commands import run_command
from support.sms import PHONES, Sms, asking, entering, fresh_number, refusal, running, wrong

from shared.audit.chain import Chain
from shared.audit.sealing import Sealer
from shared.audit.store import ChainStore
from shared.audit.verification import verify
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164, mask
from sms_service.erasure.store import ErasureStore
from sms_service.verification.audit_events import AUDIT_TABLE

KEYS = "1:" + "a1" * 32
CHAIN = Chain(AUDIT_TABLE, KeyRing.parse(KEYS))
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.7"


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


async def seal(sms: Sms) -> None:
    await Sealer(ChainStore(sms.pool, CHAIN)).seal_all(timedelta())


async def rows(sms: Sms, number: E164) -> list[tuple[str, str, str]]:
    """What the trail has about a number: kind, detail and network, in order."""
    found = await sms.pool.fetch(
        "select kind, detail, network from verification_events where phone_ref = $1 order by at, id", PHONES.ref(number)
    )
    return [tuple(row) for row in found]


async def checked_in_every_way(sms: Sms) -> E164:
    """A number whose code was incorrect, correct, correct again, and used up elsewhere."""
    number, codes = fresh_number(), sms.codes()
    issued = await codes.issue(asking(number, Purpose.SIGN_IN, address=HOME))
    await refusal(codes.issue(asking(number, Purpose.SIGN_IN, address=HOME)))
    await refusal(codes.check(entering(number, wrong(issued.code), Purpose.SIGN_IN, address=HOME)))
    for _ in range(2):
        await codes.check(entering(number, issued.code, Purpose.SIGN_IN, address=HOME))
    await refusal(codes.check(entering(number, issued.code, Purpose.SIGN_IN, address=ELSEWHERE)))
    return number


async def test_every_check_has_its_row(sms: Sms) -> None:
    number = await checked_in_every_way(sms)
    assert await rows(sms, number) == [
        ("refused", "cooldown", "203.0.113.0/24"),
        ("incorrect", "", "203.0.113.0/24"),
        ("correct", "", "203.0.113.0/24"),
        ("repeated", "", "203.0.113.0/24"),
        ("unusable", "spent", "198.51.100.0/24"),
    ]


async def test_an_expired_code_has_its_row(sms: Sms) -> None:
    number, codes = fresh_number(), sms.codes()
    issued = await codes.issue(asking(number))
    await sms.age(number, minutes=6)
    await refusal(codes.check(entering(number, issued.code)))
    assert [row[:2] for row in await rows(sms, number)] == [("unusable", "expired")]


async def test_the_trail_is_whole_after_an_erasure_and_shows_no_number(sms: Sms) -> None:
    number, other = await checked_in_every_way(sms), await checked_in_every_way(sms)
    await seal(sms)
    for _ in range(2):  # the event may come twice
        await ErasureStore(sms.pool).forget(PHONES.ref(number), datetime.now(UTC))

    assert await rows(sms, number) == []
    assert len(await rows(sms, other)) == 5
    left = "select count(*), count(verification_id), count(salt), max(network) from verification_events where erased_by is not null"
    assert tuple(await sms.pool.fetchrow(left) or ()) == (5, 0, 0, "")
    assert await sms.pool.fetchval("select array_agg(detail) from verification_events where kind = 'erased'") == ["5"]
    assert (await verify(sms.pool, CHAIN)).broken is None
    await seal(sms)
    found = await verify(sms.pool, CHAIN)
    assert (found.broken, found.waiting) == (None, 0)


async def test_a_changed_check_is_named(sms: Sms) -> None:
    number = await checked_in_every_way(sms)
    await seal(sms)
    change = "update verification_events set kind = $2 where phone_ref = $1 and kind = $3"
    await sms.change_audit_rows(change, PHONES.ref(number), "correct", "incorrect")
    broken = (await verify(sms.pool, CHAIN)).broken
    await sms.change_audit_rows(
        "update verification_events set kind = 'incorrect' where phone_ref = $1 and tries_left is not null",
        PHONES.ref(number),
    )
    assert broken is not None
    assert broken.text == "this row was changed"
    assert (await verify(sms.pool, CHAIN)).broken is None


async def test_rows_are_only_added(sms: Sms) -> None:
    await checked_in_every_way(sms)
    for statement in ("update verification_events set kind = 'correct'", "delete from verification_events"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="are only added"):
            await sms.pool.execute(statement)


async def command(sms: Sms, postgres_url: str, *words: str) -> tuple[int | None, str]:
    """``python -m sms_service audit``: its exit status and its output."""
    environ = {
        **os.environ,
        "ENVIRONMENT": "development",
        "POSTGRES_URL": postgres_url,
        "SMS_DATABASE": sms.database,
        "AUDIT_KEYS": KEYS,
    }
    ended = await run_command("sms_service", "audit", *words, environ=environ)
    return ended.status, ended.output + ended.errors


async def test_the_command_shows_and_verifies(sms: Sms, postgres_url: str) -> None:
    number = await checked_in_every_way(sms)
    await seal(sms)
    status, text = await command(sms, postgres_url, "show", "--number", number, "--since", "1h")
    lines = text.splitlines()
    assert (status, len(lines)) == (0, 6), text
    assert all(mask(number) in line for line in lines[1:])
    assert "4 tries left" in text
    _, text = await command(sms, postgres_url, "show", "--number", number, "--json")
    kinds = [json.loads(line)["kind"] for line in text.splitlines()]
    assert kinds == ["refused", "incorrect", "correct", "repeated", "unusable"]
    status, text = await command(sms, postgres_url, "verify")
    assert (status, "verification_events: " in text) == (0, True), text
