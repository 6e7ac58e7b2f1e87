"""PostgreSQL with a synchronous standby: what the primary has acknowledged, the standby has on its disk."""

import asyncio
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
from stack import ports
from stack.folder import Folder, StackError
from stack.process import Process
from stack.servers.postgres import ROLE, Postgres
from stack.servers.postgres_user import PostgresUser
from stack.servers.private_server import Variation, minimal_environment

from support.servers.server_group import ServerGroup, until

NAMES = ("postgres-primary", "postgres-standby")
REPLICATION = {"wal_level": "replica", "max_wal_senders": "10", "hot_standby": "on"}
IN_STEP = "select count(*) from pg_stat_replication where sync_state = 'sync' and state = 'streaming'"


class PairedPostgres(Postgres):
    """A server that is alone, or a copy of another one, which it follows."""

    _source: "PairedPostgres | None" = None

    def follow(self, source: "PairedPostgres") -> None:
        """Become a copy of ``source`` at the next start, with its roles. Its own data is deleted."""
        shutil.rmtree(self._data, ignore_errors=True)
        self._source = source
        self._has_roles = True

    def _create_cluster(self, user: PostgresUser) -> None:
        if self._source is None:
            super()._create_cluster(user)
            return
        source = f"host={ports.HOST} port={self._source.port} user={ROLE} password={self._password}"
        command: tuple[str | Path, ...] = (
            *(*user.prefix, self._programs / "pg_basebackup", "-D", self._data),
            *("--dbname", source, "--checkpoint=fast", "--write-recovery-conf", "--no-sync"),
        )
        copy = Process("pg-basebackup", self.folder, command, env=minimal_environment(), cwd=self.home)
        copy.spawn()
        if copy.wait(120) != 0:
            raise StackError(copy.exit_report())


class PostgresPair(ServerGroup[PairedPostgres]):
    """A primary and its synchronous standby. ``promote`` does what an operator's tool does when the primary is gone."""

    name = "postgres"
    variable = "POSTGRES_URL"
    scheme = "postgresql"

    def __init__(self, folder: Folder, passwords: Mapping[str, str], names: tuple[str, str] = NAMES) -> None:
        password = passwords["POSTGRES_PASSWORD"]
        self.primary, self.standby = (
            PairedPostgres(folder, password, role_passwords=passwords, variation=Variation(name, REPLICATION))
            for name in names
        )
        super().__init__([self.primary, self.standby], passwords)

    def start(self) -> None:
        """Start the primary, copy it, and let each commit wait for the copy from then on."""
        self.primary.start()
        self._copy()

    async def promote(self) -> None:
        """Let the standby accept writes. Returns when it does."""
        assert await fetchval(self.standby.url, "select pg_promote(true, 60)")

    def rejoin(self) -> None:
        """Let the primary that was killed follow the standby that was promoted: they have changed places."""
        self.primary, self.standby = self.standby, self.primary
        self._copy()

    def _copy(self) -> None:
        """Start the standby as a copy of the primary.

        The order matters: a copy that asked for a standby of its own would acknowledge nothing when it is promoted.
        """
        self.standby.follow(self.primary)
        self.standby.start()
        run(self.primary.url, "alter system set synchronous_standby_names = '*'")
        run(self.primary.url, "select pg_reload_conf()")
        until(lambda: bool(run(self.primary.url, IN_STEP)))


def run(url: str, statement: str) -> object:
    """The value of a statement, in a thread with a loop of its own: the caller may be in one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(fetchval(url, statement))).result()


async def fetchval(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    value = await connection.fetchval(statement)
    await connection.close()
    return value
