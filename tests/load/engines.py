"""What PostgreSQL, Valkey and RabbitMQ spend on operations: CPU, write-ahead log and commits."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import asyncpg
from stack.orphans import process_tree
from stack.system import Stack

TICKS = os.sysconf("SC_CLK_TCK")
WRITTEN = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn, sum(xact_commit)::bigint from pg_stat_database"


def tree_seconds(pid: int) -> float:
    """User and system time of a process, of its living descendants, and of those that ended and were waited for."""
    return sum(map(_ticks, process_tree(pid))) / TICKS


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # it ended: its parent has its time
        return 0
    return sum(map(int, fields[11:15]))


@dataclass(frozen=True)
class Spent:
    """CPU seconds by server, bytes of write-ahead log, and commits in PostgreSQL."""

    cpu: dict[str, float]
    wal: int
    commits: int

    def __sub__(self, before: "Spent") -> "Spent":
        cpu = {name: seconds - before.cpu[name] for name, seconds in self.cpu.items()}
        return Spent(cpu, self.wal - before.wal, self.commits - before.commits)


class Engines:
    """The three servers of a private stack."""

    def __init__(self, stack: Stack, connection: asyncpg.Connection) -> None:
        self._processes = {server.name: server.process for server in stack.servers.all}
        self._connection = connection

    @classmethod
    async def of(cls, stack: Stack) -> Self:
        """The servers of this stack, watched through a connection of its own."""
        return cls(stack, await asyncpg.connect(stack.addresses["POSTGRES_URL"]))

    async def spent(self) -> Spent:
        """What they have spent until now."""
        cpu = {name: tree_seconds(process.pid) for name, process in self._processes.items()}
        wal, commits = await self._connection.fetchrow(WRITTEN)
        return Spent(cpu, int(wal), int(commits))

    async def close(self) -> None:
        await self._connection.close()
