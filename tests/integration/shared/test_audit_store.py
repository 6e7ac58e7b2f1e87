"""The audit chain on a real PostgreSQL: racing writers, erasures and retention leave it whole, and a change is found."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs
from support.auth import database
from support.database import change_audit_rows

from auth_service.audit import AUDIT_LOG, AuditEntry
from auth_service.audit_store import add_entry, erase_entries
from auth_service.client_context import ClientContext
from shared.audit.chain import Chain
from shared.audit.sealing import MAX_ROWS, Sealer, delete_all_old
from shared.audit.store import ChainStore, unsealed
from shared.audit.verification import Verification, verify
from shared.keys import KeyRing
from shared.postgres import Pool, connection, pool, transaction

NOW = timedelta()
CHAIN = Chain(AUDIT_LOG, KeyRing.parse("1:" + "a1" * 32))
CONTEXT = ClientContext("native", "ios", "203.0.113.0/24")


class Trail:
    """An audit log without a running service: its rows are sealed when a test says so."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.store = ChainStore(pool, CHAIN)
        self.sealer = Sealer(self.store)

    async def write(self, count: int, user_id: int = 7) -> None:
        for _ in range(count):
            async with connection(self.pool) as conn:
                await add_entry(conn, AuditEntry("log_in_with_password.succeeded", 5, CONTEXT, user_id))

    async def seal(self) -> None:
        await self.sealer.seal_all(NOW)

    async def verify(self) -> Verification:
        return await verify(self.pool, CHAIN)

    async def whole(self, rows: int, waiting: int = 0) -> None:
        """Check that the trail is whole and has so many sealed rows."""
        found = await self.verify()
        assert (found.broken, found.rows, found.waiting) == (None, rows, waiting)

    async def change(self, statement: str, *arguments: object) -> None:
        async with connection(self.pool) as conn:
            await change_audit_rows(conn, statement, *arguments)

    async def ids(self) -> list[UUID]:
        rows = await self.pool.fetch("select id from audit_log order by at, id")
        return [row["id"] for row in rows]


@pytest.fixture
async def trail(postgres_url: str) -> AsyncIterator[Trail]:
    async with database(postgres_url) as name, pool(postgres_url, name, size=8) as opened:
        yield Trail(opened)


async def test_an_empty_trail_is_whole(trail: Trail) -> None:
    await trail.seal()
    await trail.whole(0)


async def test_racing_writers_and_sealers_leave_every_row_in_one_seal(trail: Trail) -> None:
    others = [Sealer(ChainStore(trail.pool, CHAIN)) for _ in range(2)]
    writing = [asyncio.create_task(trail.write(100, user)) for user in range(10)]
    while not all(task.done() for task in writing):
        await asyncio.gather(*(sealer.seal_all(NOW) for sealer in (trail.sealer, *others)))
    await asyncio.gather(*writing)
    await trail.seal()

    await trail.whole(1000)
    sealed = await trail.pool.fetch("select unnest(ids) as id from audit_seals")
    assert sorted(row["id"] for row in sealed) == sorted(await trail.ids())


async def test_a_row_that_commits_late_is_sealed_later(trail: Trail) -> None:
    async with transaction(trail.pool) as late:
        await add_entry(late, AuditEntry("register.succeeded", 5, CONTEXT, 8))
        await trail.write(3)
        await trail.seal()
        await trail.whole(3)
    await trail.whole(3, waiting=1)
    await trail.seal()
    await trail.whole(4)


async def test_a_backlog_is_sealed_in_several_seals(trail: Trail) -> None:
    await trail.pool.execute(
        "insert into audit_log (id, action) select gen_random_uuid(), 'x' from generate_series(1, $1::int)",
        2 * MAX_ROWS + 1,
    )
    await trail.seal()
    await trail.whole(2 * MAX_ROWS + 1)
    assert await trail.pool.fetchval("select count(*) from audit_seals") == 3


async def test_every_seal_has_a_plan_for_its_own_window(trail: Trail) -> None:
    """A plan for any window compares each of its rows with every seal, which takes longer than a statement may."""
    for _ in range(7):  # PostgreSQL considers such a plan from the sixth execution on
        await trail.write(1)
        await trail.seal()
    plans = await trail.pool.fetchrow(
        "select custom_plans, generic_plans from pg_prepared_statements where statement = $1", unsealed(AUDIT_LOG)
    )
    assert dict(plans) == {"custom_plans": 7, "generic_plans": 0}


async def test_a_seal_that_goes_on_from_another_takes_no_row_from_before(trail: Trail) -> None:
    await trail.write(2)
    _, last = [row["at"] for row in await trail.pool.fetch("select at from audit_log order by at")]
    _, seal = await trail.store.seal(MAX_ROWS, NOW, last)
    assert seal is not None
    assert (seal.first_at, len(seal.ids)) == (last, 1)
    await trail.seal()
    await trail.whole(2)


async def test_a_seal_reads_no_more_of_a_backlog_than_it_seals(trail: Trail) -> None:
    await trail.pool.execute(
        """insert into audit_log (id, action, at)
           select gen_random_uuid(), 'x', now() - i * interval '1 ms' from generate_series(1, $1::int) as i""",
        20 * MAX_ROWS,
    )
    plan = await trail.pool.fetchval(f"explain (analyze, format json) {unsealed(AUDIT_LOG)}", MAX_ROWS, None, NOW)
    assert MAX_ROWS <= max(rows_of(json.loads(plan)[0]["Plan"])) <= MAX_ROWS + 1


def rows_of(node: dict[str, Any]) -> Iterator[int]:
    """The rows of each step of a plan."""
    yield node["Actual Rows"]
    for inner in node.get("Plans", ()):
        yield from rows_of(inner)


@pytest.mark.parametrize("role", ["owner", "service"])
@pytest.mark.parametrize("statement", [
    "update audit_log set action = 'x'", "delete from audit_log", "truncate audit_log",
    "update audit_seals set hash = ''", "delete from audit_seals", "truncate audit_seals",
    "update audit_chain set start_number = 9", "delete from audit_chain",
])  # fmt: skip
async def test_rows_are_only_added(trail: Trail, role: str, statement: str) -> None:
    await trail.write(2)
    await trail.seal()
    async with transaction(trail.pool) as conn:
        if role == "service":  # it may do anything with rows, and knows how the owner's functions do it
            await conn.execute("create role audit_test nologin; grant all on all tables in schema public to audit_test")
            await conn.execute("set local role audit_test")
            await conn.execute("set local haoma.audit_change = 'on'")
        await conn.execute("savepoint before")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="are only added"):
            await conn.execute(statement)
        await conn.execute("rollback to savepoint before")
        if role == "service":
            await conn.execute("reset role; drop owned by audit_test; drop role audit_test")
    await trail.whole(2)


@pytest.mark.parametrize(("assignment", "text"), [
    ("action = 'account.banned'", "this row was changed"),
    ("at = at + interval '1 microsecond'", "this row was changed"),
    ("user_id = 8", "this row was changed: whom it is about"),
    ("network = '', user_id = null, phone_ref = null, salt = null", "this row was changed: whom it is about"),
])  # fmt: skip
async def test_the_first_changed_row_is_named(trail: Trail, assignment: str, text: str) -> None:
    for _ in range(3):
        await trail.write(3)
        await trail.seal()
    changed = (await trail.ids())[4:8]
    await trail.change(f"update audit_log set {assignment} where id = any ($1)", changed)

    broken = (await trail.verify()).broken
    assert broken is not None
    assert (broken.text, broken.seal, broken.row_id) == (text, 2, changed[0])


async def test_a_deleted_row_and_a_deleted_seal_are_named(trail: Trail) -> None:
    for _ in range(3):
        await trail.write(2)
        await trail.seal()
    deleted = (await trail.ids())[3]
    await trail.change("delete from audit_log where id = $1", deleted)
    broken = (await trail.verify()).broken
    assert broken is not None
    assert (broken.text, broken.seal, broken.row_id) == ("this row was deleted", 2, deleted)

    await trail.change("delete from audit_log where id in (select unnest(ids) from audit_seals where number = 2)")
    await trail.change("delete from audit_seals where number = 2")
    broken = (await trail.verify()).broken
    assert broken is not None
    assert (broken.text, broken.seal) == ("this seal was deleted", 2)


async def test_an_inserted_row_is_named(trail: Trail) -> None:
    await trail.write(2)
    await trail.change("update audit_log set at = at - interval '1 hour'")
    await trail.seal()
    await trail.write(2)
    await trail.seal()
    await trail.whole(4)
    add = "insert into audit_log (id, at, action) values ($1, now() - interval '30 minutes', 'x')"
    forged = UUID(int=5)
    await trail.pool.execute(add, forged)
    await trail.seal()

    broken = (await trail.verify()).broken
    assert broken is not None
    assert (broken.text, broken.row_id) == ("this row was inserted: no seal has it", forged)


async def test_a_cut_off_end_is_found_with_an_anchor_and_by_a_process_that_saw_it(trail: Trail) -> None:
    for _ in range(3):
        await trail.write(2)
        await trail.seal()
    anchor = (await trail.verify()).end
    await trail.change("delete from audit_log where id in (select unnest(ids) from audit_seals where number = 3)")
    await trail.change("delete from audit_seals where number = 3")

    await trail.whole(4)
    broken = (await verify(trail.pool, CHAIN, anchor)).broken
    assert broken is not None
    assert "cut off" in broken.text
    with capture_logs() as logs:
        await trail.seal()
        await trail.seal()
    assert [(line["event"], line["seen"]) for line in logs] == [("audit.cut_off", str(anchor))]


async def test_an_erasure_leaves_the_trail_whole_and_nothing_of_the_user(trail: Trail) -> None:
    await trail.write(3, user_id=7)
    await trail.write(1, user_id=8)
    await trail.seal()
    await trail.write(2, user_id=7)
    erasure = UUID(int=9)
    async with transaction(trail.pool) as conn:
        assert await erase_entries(conn, 7, 6, erasure) == 5
        await add_entry(conn, AuditEntry("erase.succeeded", None, ClientContext("native", ""), detail="5"), erasure)

    await trail.whole(4, waiting=3)
    await trail.seal()
    await trail.whole(7)
    left = await trail.pool.fetch(
        "select distinct user_id, phone_ref, session_id, network, reason, salt from audit_log where erased_by = $1",
        erasure,
    )
    assert [tuple(row) for row in left] == [(None, None, None, "", "", None)]


async def test_a_row_that_no_erasure_emptied_is_named(trail: Trail) -> None:
    await trail.write(3)
    await trail.seal()
    hidden = (await trail.ids())[1]
    await trail.change(
        "update audit_log set user_id = null, phone_ref = null, network = '', salt = null, erased_by = $2 where id = $1",
        hidden,
        UUID(int=9),
    )
    broken = (await trail.verify()).broken
    assert broken is not None
    assert broken.row_id == hidden


async def test_retention_deletes_the_oldest_seals_with_their_rows(trail: Trail) -> None:
    for days in (200, 191, 189, 0):
        await trail.write(2)
        await trail.change(
            "update audit_log set at = at - make_interval(days => $1) where at > now() - interval '1 h'", days
        )
        await trail.seal()
    await asyncio.gather(*(delete_all_old(trail.store, 190) for _ in range(3)))

    await trail.whole(4)
    assert await trail.pool.fetchval("select min(number) from audit_seals") == 3
    assert await trail.pool.fetchval("select start_number from audit_chain") == 2
    await trail.write(1)
    await trail.seal()
    await trail.whole(5)


async def test_no_one_deletes_rows_of_the_last_thirty_days(trail: Trail) -> None:
    await trail.write(2)
    await trail.change("update audit_log set at = at - interval '29 days'")
    await trail.seal()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="kept for 30 days at least"):
        await trail.pool.execute("select delete_audit_until(1, '', 1, '')")
    await trail.whole(2)


async def test_a_start_that_was_moved_by_hand_is_found(trail: Trail) -> None:
    for _ in range(3):
        await trail.write(2)
        await trail.seal()
    await trail.change("update audit_seals set last_at = last_at - interval '31 days'")
    seal_hash = await trail.pool.fetchval("select hash from audit_seals where number = 2")
    await trail.pool.execute("select delete_audit_until(2, $1, 1, $2)", seal_hash, bytes(32))

    broken = (await trail.verify()).broken
    assert broken is not None
    assert broken.text == "the start of the chain was moved: rows before it may have been deleted"


async def test_only_one_process_seals_in_an_interval(trail: Trail) -> None:
    stores = [ChainStore(trail.pool, CHAIN) for _ in range(4)]
    period = timedelta(minutes=1)
    turns = await asyncio.gather(*(store.take_turn(period) for store in stores))
    assert sorted(turns) == [False, False, False, True]
    await trail.pool.execute("update job_leases set taken_at = taken_at - $1::interval", period)
    assert await trail.store.take_turn(period)
