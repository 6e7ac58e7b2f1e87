"""PostgreSQL: sessions on the primary alone, one pool for each process, and a deadline on every use."""

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
from shared.postgres.sessions import STARTING, Connection, open_session, url_of
from shared.process.schema import NotMigratedError
from shared.process.startup import PoolerError, PrivilegedRoleError

__all__ = [
    "DEADLINE_SECONDS",
    "SERVER_SETTINGS",
    "STARTING",
    "Connection",
    "NotMigratedError",
    "Pool",
    "PoolerError",
    "PrivilegedRoleError",
    "connection",
    "is_rolled_back",
    "open_session",
    "ping",
    "pool",
    "transaction",
    "url_of",
]
