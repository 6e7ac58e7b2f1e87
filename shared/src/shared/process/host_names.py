"""Addresses of host names: looked up for each new connection, and remembered for when a look-up stalls."""

import asyncio
import socket
from contextlib import nullcontext

import structlog

from shared.deadline import Deadline

STALL_SECONDS = 0.2
"""How long a look-up may take if the addresses of the name are known from an earlier one."""

log = structlog.get_logger()


class HostNames:
    """Looks up host names, each at most once at a time, so that a stalled name server does not use up the threads."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self._look_ups: dict[str, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """The IP addresses of ``host``, the preferred first.

        They are those of the last look-up if this one takes longer than ``STALL_SECONDS`` or fails for the time being.
        Raises ``OSError`` if there are none, and if the name exists no more.
        """
        known = self._known.get(host)
        try:
            async with Deadline(STALL_SECONDS) if known else nullcontext():
                return await asyncio.shield(self._look_up(host, port))
        except OSError as error:  # TimeoutError is one
            if known is None or (isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN):
                raise
            log.warning("host_name.remembered", host=host, error=type(error).__name__)
            return known

    def _look_up(self, host: str, port: int) -> asyncio.Task[list[str]]:
        if host not in self._look_ups:
            self._look_ups[host] = asyncio.create_task(self._ask(host, port), name=f"look-up of {host}")
        return self._look_ups[host]

    async def _ask(self, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self._known[host] = [str(address[0]) for *_, address in found]
            return self._known[host]
        finally:
            del self._look_ups[host]

    async def close(self) -> None:
        """End the look-ups that are still running."""
        look_ups = list(self._look_ups.values())
        for look_up in look_ups:
            look_up.cancel()
        await asyncio.gather(*look_ups, return_exceptions=True)
