"""Haoma as a shadow run reaches it: the gateway, and the SMS inbox of a copy."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson
from yarl import URL

from gateway.http.environment import DEVELOPMENT_MARK, DEVELOPMENT_PATH
from gateway.shadow.recorded.answers import ReceivedAnswer
from gateway.shadow.recorded.requests import Request

SECONDS = 30.0
MAX_REPEATS = 5
"""How often a call is repeated that Haoma was too busy for."""
MAX_BUSY_SECONDS = 5.0
CONNECT_DELAYS = (0.5, 1.0, 2.0, 4.0)
"""How long to wait for a gateway that cannot be reached, before the run stops."""
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class UnreachableError(Exception):
    """Haoma, or its inbox, cannot be reached."""


class HaomaClient:
    """Sends recorded requests to the gateway, each as it was recorded."""

    def __init__(self, http: aiohttp.ClientSession, gateway: str) -> None:
        self._http = http
        self._gateway = gateway.rstrip("/")

    @classmethod
    @asynccontextmanager
    async def connect(cls, gateway: str, connections: int) -> AsyncIterator["HaomaClient"]:
        """A client of the gateway at this address."""
        async with open_session(connections) as http:
            yield cls(http, gateway)

    async def require_development(self) -> None:
        """Raises ``UnreachableError`` unless the gateway is one of a system for tests."""
        try:
            async with self._http.get(self._gateway + DEVELOPMENT_PATH, allow_redirects=False) as response:
                is_marked = response.status == HTTPStatus.OK and await response.text() == DEVELOPMENT_MARK
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnreachableError(f"{self._gateway} cannot be reached") from error
        if not is_marked:
            raise UnreachableError(f"{self._gateway} is not in development: --copy would change what people use")

    async def send(self, request: Request) -> ReceivedAnswer | None:
        """The answer, of the first time that Haoma is not too busy. None if there was none.

        Raises ``UnreachableError`` if no connection can be made.
        """
        for _ in range(MAX_REPEATS):
            answer = await self._send_reliably(request)
            if answer is None or answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                return answer
            wait = answer.headers.get("retry-after", "")
            await asyncio.sleep(min(float(wait) if wait.isdigit() else 1.0, MAX_BUSY_SECONDS))
        return await self._send_reliably(request)

    async def _send_reliably(self, request: Request) -> ReceivedAnswer | None:
        """Send a request, again only while no connection can be made: then nothing was sent."""
        for delay in (*CONNECT_DELAYS, None):
            try:
                return await self._send(request)
            except aiohttp.ClientConnectorError as error:
                if delay is None:
                    raise UnreachableError(f"{self._gateway} cannot be reached") from error
                await asyncio.sleep(delay)
            except (aiohttp.ClientError, TimeoutError):
                return None
        raise AssertionError("the last attempt returns or raises")

    async def _send(self, request: Request) -> ReceivedAnswer:
        url = URL(self._gateway + request.target, encoded=True)
        async with self._http.request(
            request.method, url, headers=request.headers, data=request.body or None, allow_redirects=False
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return ReceivedAnswer(response.status, headers, await response.read())


class CodeInbox:
    """Reads codes from the SMS inbox that a copy has in place of phones."""

    def __init__(self, http: aiohttp.ClientSession, inbox: str) -> None:
        self._http = http
        self._inbox = inbox.rstrip("/")

    @classmethod
    @asynccontextmanager
    async def connect(cls, inbox: str, connections: int) -> AsyncIterator["CodeInbox"]:
        """The inbox of the sms-service at this address."""
        async with open_session(connections) as http:
            yield cls(http, inbox)

    async def require(self) -> None:
        """Raises ``UnreachableError`` without an inbox: only a system of development has one, and sends no message."""
        await self._get("messages", {"limit": "1"})

    async def newest(self, number: str, after: str, wait: float) -> tuple[str, str] | None:
        """Id and code of the newest message to a number after another one, within so many seconds.

        Raises ``UnreachableError``.
        """
        query = {"to": number, "wait": str(wait)} | ({"after": after} if after else {})
        message = await self._get("messages/latest", query)
        return (message["id"], message["code"]) if message else None

    async def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """What the inbox has; None for no message."""
        try:
            async with self._http.get(f"{self._inbox}/inbox/{path}", params=query) as response:
                found: dict[str, Any] = orjson.loads(await response.read())
                if response.status == HTTPStatus.OK and found.keys() & {"messages", "code"}:
                    return found
                if response.status == HTTPStatus.NOT_FOUND and "latest" in path:
                    return None
        except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
            raise UnreachableError(f"{self._inbox} has no SMS inbox that can be reached") from error
        raise UnreachableError(f"{self._inbox} has no SMS inbox: --copy is for a system of development only")


def open_session(connections: int) -> aiohttp.ClientSession:
    """A session without cookies and without headers of its own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=5),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=SECONDS),
        skip_auto_headers=_AUTOMATIC,
    )
