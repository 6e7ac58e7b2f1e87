"""What each service's ``migrations/env.py`` runs: alembic over asyncpg, plain SQL, one transaction per revision."""

import asyncio

import structlog
from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

TURN_SECONDS = 0.2
"""Between two looks whether another migrator has ended."""

log = structlog.get_logger()


def run() -> None:
    """Apply revisions to the database, or print their SQL (``alembic --sql``, for review by a DBA)."""
    url = context.config.attributes["url"].replace("postgresql://", "postgresql+asyncpg://", 1)
    if context.is_offline_mode():
        context.configure(url=url, literal_binds=True, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    else:
        asyncio.run(_online(url))


async def _online(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await _take_turn(connection)
        await connection.run_sync(_upgrade)
        await connection.commit()
    await engine.dispose()


async def _take_turn(connection: AsyncConnection) -> None:
    """Two migrators at once take turns; the second finds nothing to do. The turn ends with the connection.

    Asked again and again, with no transaction in between: an index that is built concurrently waits for everybody who
    is in a statement, and so for one that waited inside PostgreSQL for its builder.
    """
    waiting = False
    while not (await connection.exec_driver_sql("select pg_try_advisory_lock(4862736140)")).scalar_one():
        await connection.rollback()
        if not waiting:
            log.info("migration.waiting")
        waiting = True
        await asyncio.sleep(TURN_SECONDS)
    await connection.commit()


def _upgrade(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
