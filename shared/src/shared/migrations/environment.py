"""What each ``migrations/env.py`` runs: alembic over asyncpg, with plain SQL and one transaction for each revision."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from shared.process.schema import REVISION_OF_SESSION, NotMigratedError, refuse_schema
from shared.process.startup import UnreachableError

LOCK_RETRY_SECONDS = 0.2
"""The pause between two attempts to lock out other migrators."""

ADD_WORKS_FROM = "alter table if exists alembic_version add column if not exists works_from text not null default ''"
SET_WORKS_FROM = "update alembic_version set works_from = :works_from"
COUNT_OLDER = f"""
    select count(*) from pg_stat_activity
    where datname = current_database() and {REVISION_OF_SESSION} < $1
"""  # noqa: S608  a constant

# By default a service's role may change the rows of every table (docs/security/least-privilege.md). This one it reads.
REVOKE_VERSION = """
    do $$
    declare
        granted name;
    begin
        for granted in
            select distinct grantee::regrole
            from pg_class, aclexplode(relacl)
            where oid = 'alembic_version'::regclass and grantee not in (0, relowner)
        loop
            execute format('revoke all on alembic_version from %s', granted);
        end loop;
    end
    $$
"""
LET_READ_VERSION = "grant select on alembic_version to public"

log = structlog.get_logger()


class OlderProcessesError(UnreachableError):
    """Processes of a release that does not work with the new schema are still connected."""


class _Session:
    """What ``refuse_schema`` asks, over SQLAlchemy."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def fetchval(self, query: str, /) -> Any:
        return (await self._connection.exec_driver_sql(query)).scalar()


def run() -> None:
    """Apply revisions to the database, or print their SQL for review (``alembic --sql``)."""
    if context.is_offline_mode():
        context.configure(
            dialect_name="postgresql", literal_binds=True, transaction_per_migration=True, on_version_apply=_record
        )
        with context.begin_transaction():
            context.run_migrations()
    else:
        asyncio.run(_online(context.config.attributes["connect"]))


async def _online(connect: Callable[[], Awaitable[Any]]) -> None:
    # The service's own way to connect: SQLAlchemy reads neither the query of a URL (TLS) nor several hosts.
    engine = create_async_engine("postgresql+asyncpg://", poolclass=pool.NullPool, async_creator=connect)
    async with engine.connect() as connection:
        await _lock_out_others(connection)
        if await _is_behind(connection):
            await _refuse_older_processes(connection)
            await connection.rollback()
            await connection.run_sync(_upgrade)
        for statement in (ADD_WORKS_FROM, REVOKE_VERSION, LET_READ_VERSION):
            await connection.exec_driver_sql(statement)
        await connection.commit()
    await engine.dispose()


async def _is_behind(connection: AsyncConnection) -> bool:
    """Whether there are revisions to apply. Raises ``NewerSchemaError``. A newer schema that fits stays as it is."""
    await connection.exec_driver_sql(ADD_WORKS_FROM)
    await connection.commit()
    try:
        await refuse_schema(_Session(connection), _newest())
    except NotMigratedError:
        return True
    return False


async def _refuse_older_processes(connection: AsyncConnection) -> None:
    """Raises ``OlderProcessesError`` while the new schema would take away what a running process uses."""
    works_from = _works_from(_newest())
    if older := (await connection.exec_driver_sql(COUNT_OLDER, (works_from,))).scalar_one():
        raise OlderProcessesError(
            f"{older} sessions of processes from before revision {works_from} are open, and the new schema lacks what "
            "they use: replace them first with a release that has this revision"
        )


def _newest() -> str:
    return str(context.script.get_current_head())


def _works_from(revision: str) -> str:
    """The oldest revision whose code works with the schema of ``revision``, as that revision itself declares."""
    return str(context.script.get_revision(revision).module.works_from)


def _record(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:  # noqa: ARG001  by name
    """Keep ``works_from`` beside the revision, in the revision's own transaction."""
    ctx.execute(ADD_WORKS_FROM)
    ctx.execute(text(SET_WORKS_FROM).bindparams(works_from=_works_from(str(step.up_revision_id))))


async def _lock_out_others(connection: AsyncConnection) -> None:
    """Wait until no other migrator runs. The lock ends with the connection; the second migrator finds nothing to do.

    It polls, without an open transaction: ``create index concurrently`` waits for every running statement, so a
    statement that waited for the lock inside PostgreSQL would wait for the index and the index for it.
    """
    waiting = False
    while not (await connection.exec_driver_sql("select pg_try_advisory_lock(4862736140)")).scalar_one():
        await connection.rollback()
        if not waiting:
            log.info("migration.waiting")
        waiting = True
        await asyncio.sleep(LOCK_RETRY_SECONDS)
    await connection.commit()


def _upgrade(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True, on_version_apply=_record)
    with context.begin_transaction():
        context.run_migrations()
