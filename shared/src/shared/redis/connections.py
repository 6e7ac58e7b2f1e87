"""Connections to Redis that open outside of the deadline of any call, by addresses that outlive a stalled look-up.

Decision 71 has the outage that this prevents.
"""

import asyncio
import contextlib
from contextlib import AbstractContextManager
from typing import Any

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.process.host_names import HostNames
from shared.process.pools import showing_pool

OPEN_SECONDS = 2.0
"""The limit of opening a connection: the look-up of the name, connecting, and the log-in."""

CONNECT_SECONDS = 1.0
"""The limit of connecting to one address of the server, before the next is tried."""


class NamedConnection(Connection):
    """Connects to the addresses of its host name, one after the other, and writes its commands in C."""

    def __init__(self, *, names: HostNames, **options: Any) -> None:
        super().__init__(**options)
        self._names = names
        self._address = self.host

    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "host": self._address}

    def pack_command(self, *args: Any) -> list[bytes]:
        """A command in Redis's protocol. The name may be two words, such as ``SCRIPT LOAD``."""
        name, *arguments = args
        return [pack_command((*name.split(), *arguments))]

    async def _connect(self) -> None:
        failure: Exception = OSError("the host name has no address")
        for address in await self._names.addresses(self.host, self.port):
            self._address = address
            try:
                await super()._connect()  # type: ignore[no-untyped-call]
            except (OSError, RuntimeError) as error:  # RuntimeError of uvloop, after a reset
                failure = error
            else:
                return
        raise failure


class NamedTlsConnection(NamedConnection, SSLConnection):
    """As above, over TLS: the certificate must be for the name."""

    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "server_hostname": self.host}


class PatientPool(BlockingConnectionPool):
    """Opens each connection in a task of its own: a call that gives up leaves the opening to the next call.

    If the opening ended with the call, as in redis-py's pools, a connection that takes longer to open than a call may
    take would never be opened, however often it is tried.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(timeout=None, **options)  # the deadline is the call's
        self._openings: dict[AbstractConnection, asyncio.Task[None]] = {}

    async def get_connection(self, command_name: str | None = None, *keys: Any, **options: Any) -> AbstractConnection:  # noqa: ARG002  unused in redis-py too
        """A usable connection, for one call. Waits while all are in use.

        It and ``release`` measure nothing for redis-py's own metrics, which took a fifth of the time of a call.
        """
        async with self._condition:
            await self._condition.wait_for(self.can_get_connection)
            connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Return a connection, for the next call."""
        async with self._condition:
            self._in_use_connections.remove(connection)
            if connection.should_reconnect():  # type: ignore[no-untyped-call]
                await connection.disconnect()
            self._available_connections.append(connection)
            self._condition.notify()

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Wait until the connection is open. Raises ``RedisError`` or ``OSError``."""
        if connection in self._openings or not await _is_usable(connection):
            await asyncio.shield(self._opening(connection))

    def _opening(self, connection: AbstractConnection) -> asyncio.Task[None]:
        if connection not in self._openings:
            self._openings[connection] = asyncio.create_task(self._open(connection), name="opening Redis")
        return self._openings[connection]

    async def _open(self, connection: AbstractConnection) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await connection.disconnect()
                await connection.connect()  # type: ignore[no-untyped-call]
                connection.socket_timeout = None  # from here on each call has a deadline of its own
        except BaseException:
            await connection.disconnect(nowait=True)  # it may be connected, but not logged in
            raise
        finally:
            del self._openings[connection]

    def shown(self) -> AbstractContextManager[None]:
        """Shows the pool in the metrics. redis-py counts only for OpenTelemetry, so this reads its own fields."""
        in_use, waiters = self._in_use_connections, self._condition._waiters  # noqa: SLF001  as above
        return showing_pool("redis", self.max_connections, lambda: len(in_use), lambda: len(waiters))

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the idle connections, or all of them."""
        if inuse_connections:
            openings = list(self._openings.values())
            for opening in openings:
                opening.cancel()
            await asyncio.gather(*openings, return_exceptions=True)
        await super().disconnect(inuse_connections)


async def _is_usable(connection: AbstractConnection) -> bool:
    """Whether the connection is open, without an unread answer of a command that was interrupted."""
    with contextlib.suppress(RedisError, OSError):
        return connection.is_connected and not await connection.can_read()
    return False


def one_server_pool(url: str, names: HostNames, connections: int) -> PatientPool:
    """The pool of a client of one server, which opens its connections outside of the calls."""
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.pop("connection_class", None)
    if kind is not UnixDomainSocketConnection:
        options["names"] = names
        kind = NamedTlsConnection if kind is SSLConnection else NamedConnection
    limits = {"socket_timeout": OPEN_SECONDS, "socket_connect_timeout": CONNECT_SECONDS}
    return PatientPool(
        **(limits | options), connection_class=kind, max_connections=connections, retry=Retry(NoBackoff(), 0)
    )
