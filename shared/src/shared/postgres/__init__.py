"""PostgreSQL: sessions on the primary alone, one pool for each process, a deadline on every use, and migrations."""

from shared.postgres.migration import ensure_database, migrate
from shared.postgres.pooling import (
    DEADLINE_SECONDS,
    SERVER_SETTINGS,
    Pool,
    connection,
    is_rolled_back,
    ping,
    pool,
    transaction,
)
from shared.postgres.sessions import Connection, NotMigratedError, open_session, url_of
from shared.process.startup import PoolerError, PrivilegedRoleError

__all__ = [
    "DEADLINE_SECONDS",
    "SERVER_SETTINGS",
    "Connection",
    "NotMigratedError",
    "Pool",
    "PoolerError",
    "PrivilegedRoleError",
    "connection",
    "ensure_database",
    "is_rolled_back",
    "migrate",
    "open_session",
    "ping",
    "pool",
    "transaction",
    "url_of",
]
