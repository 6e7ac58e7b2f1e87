"""Code and schema of different releases: which code starts on which schema, and which migration may run beside which code."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from shared.migrations.upgrade import migrate
from shared.postgres import pool, url_of
from shared.process import startup
from shared.process.schema import NewerSchemaError
from shared.process.startup import UnreachableError

ENV = Path(__file__).parents[3] / "contacts-service/src/contacts_service/migrations/env.py"
REVISION = '''
"""A revision of a made-up service."""

from alembic import op

revision = "{name}"
down_revision = {previous}
works_from = "{works_from}"


def upgrade() -> None:
    op.execute("{sql}")
'''
EXPAND = ("0002", "0001", "alter table words add column meaning text")
CONTRACT = ("0003", "0002", "alter table words drop column spelling")
BROKEN = ("0003", "0001", "alter table words add column word text")
Release = Callable[..., str]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Makes a release: a package with its revisions. Returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(*revisions: tuple[str, str, str]) -> str:
        name = f"release_{secrets.token_hex(4)}"
        versions = tmp_path / name / "migrations" / "versions"
        versions.mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        (versions.parent / "env.py").write_text(ENV.read_text())
        previous = "None"
        for number, works_from, sql in (("0001", "0001", "create table words (word text, spelling text)"), *revisions):
            text = REVISION.format(name=number, previous=previous, works_from=works_from, sql=sql)
            (versions / f"{number}_words.py").write_text(text)
            previous = f'"{number}"'
        return name

    return make


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process waits for the migration for a moment only."""
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 0.3)


async def state(postgres_url: str, database: str) -> tuple[str, str]:
    session = await asyncpg.connect(url_of(postgres_url, database))
    row = await session.fetchrow("select version_num, works_from from alembic_version")
    await session.close()
    assert row is not None
    return tuple(row)


async def start(postgres_url: str, database: str, package: str) -> None:
    async with pool(postgres_url, database, package=package):
        pass


async def report_of(postgres_url: str, database: str, package: str) -> str:
    """The one line with which a process of this release ends."""
    with pytest.raises(UnreachableError) as report:
        await start(postgres_url, database, package)
    assert "\n" not in str(report.value)
    return str(report.value)


async def test_a_database_without_tables_is_named_with_what_to_do(
    postgres_url: str, database: str, release: Release
) -> None:
    assert "the database has no tables yet: run the migrations" in await report_of(postgres_url, database, release())


async def test_a_release_does_not_serve_on_an_older_schema(postgres_url: str, database: str, release: Release) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, release())
    report = await report_of(postgres_url, database, release(EXPAND))
    assert "the schema is at revision 0001, and this release needs 0002: run the migrations" in report


async def test_the_release_before_serves_on_an_expanded_schema(
    postgres_url: str, database: str, release: Release
) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, release(EXPAND))
    await start(postgres_url, database, release())
    assert await state(postgres_url, database) == ("0002", "0001")


async def test_a_release_whose_columns_are_gone_ends_at_once(
    postgres_url: str, database: str, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, release(EXPAND, CONTRACT))
    monkeypatch.setattr(startup, "STARTUP_TIMEOUT_SECONDS", 600.0)
    report = await report_of(postgres_url, database, release())
    assert "the schema is at revision 0003, too new for this release, which has 0001" in report
    assert "start a release from revision 0002 on" in report
    await start(postgres_url, database, release(EXPAND))


async def test_a_half_migrated_schema_serves_the_old_release_and_not_the_new_one(
    postgres_url: str, database: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    new = release(EXPAND, BROKEN)
    with pytest.raises(SystemExit) as end:
        await asyncio.to_thread(migrate, postgres_url, database, new)
    assert end.value.code == 1
    assert "cannot migrate: DuplicateColumnError" in capsys.readouterr().err
    assert await state(postgres_url, database) == ("0002", "0001")
    assert "is at revision 0002, and this release needs 0003" in await report_of(postgres_url, database, new)
    await start(postgres_url, database, release())


async def test_the_migration_of_an_older_release_leaves_a_newer_schema_that_fits(
    postgres_url: str, database: str, release: Release
) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, release(EXPAND))
    await asyncio.to_thread(migrate, postgres_url, database, release())
    assert await state(postgres_url, database) == ("0002", "0001")


async def test_the_migration_of_an_older_release_refuses_a_newer_schema_that_does_not_fit(
    postgres_url: str, database: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, release(EXPAND, CONTRACT))
    with pytest.raises(SystemExit) as end:
        await asyncio.to_thread(migrate, postgres_url, database, release())
    assert end.value.code == 1
    assert [line for line in capsys.readouterr().err.splitlines() if "cannot migrate: the schema is at" in line]


async def test_nothing_is_taken_away_while_a_process_that_uses_it_runs(
    postgres_url: str, database: str, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = release(), release(EXPAND, CONTRACT)
    await asyncio.to_thread(migrate, postgres_url, database, old)
    async with pool(postgres_url, database, package=old):
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(migrate, postgres_url, database, new)
        assert end.value.code == 1
        assert "sessions of processes from before revision 0002 are open" in capsys.readouterr().err
        assert await state(postgres_url, database) == ("0001", "0001")
    await asyncio.to_thread(migrate, postgres_url, database, new)
    assert await state(postgres_url, database) == ("0003", "0002")


async def test_a_schema_from_before_works_from_was_kept_serves_its_own_release(
    postgres_url: str, database: str, release: Release
) -> None:
    package = release()
    await asyncio.to_thread(migrate, postgres_url, database, package)
    session = await asyncpg.connect(url_of(postgres_url, database))
    await session.execute("alter table alembic_version drop column works_from")
    await session.close()
    await asyncio.to_thread(migrate, postgres_url, database, package)
    await start(postgres_url, database, package)
    with pytest.raises(NewerSchemaError):
        await start_as_newer(postgres_url, database, package)


async def start_as_newer(postgres_url: str, database: str, package: str) -> None:
    """Start on a schema that an unknown release made, which did not say from which revision on code works with it."""
    session = await asyncpg.connect(url_of(postgres_url, database))
    await session.execute("update alembic_version set version_num = '0009'")
    await session.close()
    await start(postgres_url, database, package)
