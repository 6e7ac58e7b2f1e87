"""Whether this release works with the schema of its database: each has a revision, and they need not be the same.

Revisions have four digits and a line of their own. A schema may be newer than the code: its newest revision says from
which revision on code works with it (``works_from``), and ``alembic_version`` keeps that beside the revision
(docs/decisions/0069).
"""

from importlib.resources import files

from shared.process.startup import NotReadyError, Session, UnreachableError

IS_MIGRATED = "select to_regclass('alembic_version') is not null"
REVISION_OF_SESSION = "substring(application_name from '^haoma ([0-9]{4}) ')"
STATE = "select array[version_num, works_from] from alembic_version"


class NotMigratedError(NotReadyError):
    """The schema is older than this release, or there is none: the migrations have not run, or have not ended."""


class NewerSchemaError(UnreachableError):
    """The schema is newer than this release, and no longer has what it uses."""


def newest_revision(package: str) -> str:
    """The newest revision that a service brings, such as ``0001``, without loading alembic."""
    versions = files(package) / "migrations" / "versions"
    return max(file.name[:4] for file in versions.iterdir() if file.name[:4].isdigit())


def application_name(database: str, revision: str) -> str:
    """The name of a process's sessions. A migration reads the revision of running code in it."""
    return f"haoma {revision} {database}" if revision else f"haoma {database}"


async def refuse_schema(session: Session, revision: str) -> None:
    """Raises ``NotMigratedError`` or ``NewerSchemaError`` if code of this revision does not work with the schema."""
    if not await session.fetchval(IS_MIGRATED):
        raise NotMigratedError("the database has no tables yet: run the migrations")
    current, works_from = await session.fetchval(STATE) or ("", "")
    if current < revision:
        at = f"at revision {current}" if current else "empty"
        raise NotMigratedError(f"the schema is {at}, and this release needs {revision}: run the migrations")
    if current > revision and not "" < works_from <= revision:
        raise NewerSchemaError(
            f"the schema is at revision {current}, too new for this release, which has {revision}: "
            f"start a release from revision {works_from or current} on, or restore the database"
        )
