"""The database of a service: created if it is missing, and brought up to date with alembic."""

import asyncio
import sys
from functools import partial
from typing import NoReturn

import asyncpg
import structlog

from shared.postgres import STARTING, Connection, open_session, url_of
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
    """Apply the revisions in ``<package>/migrations`` to a service's database, or exit with 1 and one line."""
    # SQLAlchemy and alembic need more memory than a whole service, so only this command loads them.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.attributes["connect"] = partial(open_session, url_of(server, database), {})
    try:
        asyncio.run(ensure_database(server, database))
        command.upgrade(config, "head")
    except UnreachableError as error:
        _exit(package, str(error))
    except DBAPIError as error:
        _exit(package, _reason(error.orig))
    log.info("database.migrated", database=database)


def _exit(package: str, reason: str) -> NoReturn:
    sys.stderr.write(f"{package.replace('_', '-')} cannot migrate: {reason}\n")
    raise SystemExit(1)


def _reason(error: BaseException | None) -> str:
    """The class of PostgreSQL's error. Its text may quote a row."""
    name = type(error.__cause__ or error).__name__ if error else "unknown error"
    return f"{name} (PostgreSQL's log has the statement): the revisions before it are applied; run it again"
