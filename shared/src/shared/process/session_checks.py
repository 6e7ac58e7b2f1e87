"""What a session of PostgreSQL must be before a process serves: direct, and without rights that it does not need."""

from typing import Any, Protocol

from shared.process.startup import UnreachableError

# Who may create tables is a superuser, the owner of the database or of its schema, or was granted it.
PRIVILEGED = """
    select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
        or has_schema_privilege('public', 'create') or has_database_privilege(current_database(), 'create')
    from pg_roles
    where rolname = current_user
"""


class Session(Protocol):
    async def fetchval(self, query: str, /) -> Any:
        """The first value of the first row."""


class PoolerError(UnreachableError):
    """A pooler stands before PostgreSQL and drops the settings of our sessions, or shares them between transactions."""

    def __init__(self) -> None:
        super().__init__(
            "POSTGRES_URL leads to a pooler that drops session settings (PgBouncer): set it to the address of "
            "PostgreSQL itself, because each process keeps a small pool of its own"
        )


class PrivilegedRoleError(UnreachableError):
    """The role may do more than read and change rows."""

    def __init__(self) -> None:
        super().__init__(
            "POSTGRES_URL names a role that may change the schema, or more: a service in production needs a role that "
            "owns nothing (docs/security/least-privilege.md)"
        )


async def refuse_pooler(session: Session, statement_timeout: str) -> None:
    """Raises ``PoolerError`` if the session does not have our settings: statements and locks would have no limit."""
    timeout = await session.fetchval("select setting from pg_settings where name = 'statement_timeout'")
    if timeout != statement_timeout:
        raise PoolerError


async def refuse_privileges(session: Session) -> None:
    """Raises ``PrivilegedRoleError`` if the role may create tables or roles, or more."""
    if await session.fetchval(PRIVILEGED):
        raise PrivilegedRoleError
