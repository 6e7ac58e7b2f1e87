"""The databases of the services, created and brought up to date with alembic."""

import asyncio
import sys
from functools import partial

import asyncpg
import structlog

from shared.postgres.sessions import STARTING, Connection, open_session, url_of
from shared.process.startup import UnreachableError, wait_for_server

log = structlog.get_logger()


async def ensure_database(server: str, database: str) -> None:
    """Create a service's database unless it exists, several processes at once. Raises ``UnreachableError``."""

    async def connect() -> tuple[Connection, bool]:
        try:
            return await open_session(url_of(server, database), {}), True
        except asyncpg.InvalidCatalogNameError:
            return await open_session(server, {}), False

    session, exists = await wait_for_server("PostgreSQL", "POSTGRES_URL", server, connect, on=STARTING)
    try:
        if not exists:
            await session.execute(f'create database "{database}"')
            log.info("database.created", database=database)
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        log.info("database.exists", database=database)
    except asyncpg.InsufficientPrivilegeError as error:
        raise UnreachableError(
            f'no database "{database}", and POSTGRES_URL may not create it (docs/security/least-privilege.md)'
        ) from error
    finally:
        await session.close()


def migrate(server: str, database: str, package: str) -> None:
    """Apply the revisions in ``<package>/migrations`` to a service's database."""
    # SQLAlchemy and alembic need more memory than a whole service, so only this command loads them.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    _ensure_database_or_exit(server, database, package)
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.attributes["connect"] = partial(open_session, url_of(server, database), {})
    command.upgrade(config, "head")
    log.info("database.migrated", database=database)


def _ensure_database_or_exit(server: str, database: str, package: str) -> None:
    try:
        asyncio.run(ensure_database(server, database))
    except UnreachableError as error:
        sys.stderr.write(f"{package} cannot migrate: {error}\n")
        raise SystemExit(1) from None
