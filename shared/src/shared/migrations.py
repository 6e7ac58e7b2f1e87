"""What each service's ``migrations/env.py`` runs: alembic over asyncpg, plain SQL, one transaction per revision."""

import asyncio

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine


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
        await connection.run_sync(_upgrade)
        await connection.commit()
    await engine.dispose()


def _upgrade(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    # Two migrators at once take turns; the second finds nothing to do.
    connection.exec_driver_sql("select pg_advisory_lock(4862736140)")
    with context.begin_transaction():
        context.run_migrations()
