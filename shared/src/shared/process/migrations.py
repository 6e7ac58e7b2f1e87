"""What each ``migrations/env.py`` runs: alembic over asyncpg, with plain SQL and one transaction for each revision."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

LOCK_RETRY_SECONDS = 0.2
"""The pause between two attempts to lock out other migrators."""

# The service's role may change the rows of every table by default (docs/security/least-privilege.md), but not this one.
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

log = structlog.get_logger()


def run() -> None:
    """Apply revisions to the database, or print their SQL for review (``alembic --sql``)."""
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    else:
        asyncio.run(_online(context.config.attributes["connect"]))


async def _online(connect: Callable[[], Awaitable[Any]]) -> None:
    # The service's own way to connect: SQLAlchemy reads neither the query of a URL (TLS) nor several hosts.
    engine = create_async_engine("postgresql+asyncpg://", poolclass=pool.NullPool, async_creator=connect)
    async with engine.connect() as connection:
        await _lock_out_others(connection)
        await connection.run_sync(_upgrade)
        await connection.exec_driver_sql(REVOKE_VERSION)
        await connection.commit()
    await engine.dispose()


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
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
