"""A signed POST to the user source, for one number or one name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from auth_service.importing.schema import MAX_LINE_BYTES
from auth_service.user_source.model import Field, SourceFailedError
from shared.deadline import Deadline
from shared.webhooks.signature import WebhookKey

MAX_CONNECTIONS = 32
ABSENT = {"user": None}
"""What the body of a 404 says of a user who does not exist. Other pages with 404 come from a wrong URL or a proxy."""


class SourceClient:
    """Posts ``{"phone": …}`` or ``{"name": …}``, signed as in Standard Webhooks, and never a password.

    A redirect is a failure: the URL is the operator's, and no answer leads elsewhere.
    """

    def __init__(self, url: str, key: WebhookKey, seconds: float, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._key = key
        self._seconds = seconds
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, secrets: str, seconds: float) -> AsyncIterator["SourceClient"]:
        """A client whose connections last as long as the block. One answer may take ``seconds``."""
        jar, connector = aiohttp.DummyCookieJar(), aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=jar, connector=connector) as http:
            yield cls(url, WebhookKey(secrets), seconds, http)

    async def fetch(self, field: Field, value: str) -> bytes | None:
        """The line of the user who has this number or name; None if the source has no such user.

        A line that is too long is cut above ``MAX_LINE_BYTES``. Raises ``SourceFailedError``.
        """
        body = orjson.dumps({field: value})
        headers = {"Content-Type": "application/json", **self._key.headers(f"msg_{uuid4().hex}", body)}
        try:
            async with (
                Deadline(self._seconds),
                self._http.post(self._url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return _line_of(response.status, await _read_body(response))
        except TimeoutError as error:
            raise SourceFailedError("timed_out") from error
        except aiohttp.ClientError as error:
            raise SourceFailedError(type(error).__name__) from error


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """The body, cut soon after ``MAX_LINE_BYTES``."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_LINE_BYTES:
            break
    return bytes(body)


def _line_of(status: int, body: bytes) -> bytes | None:
    if status == 200:
        return body
    if status == 404 and _json(body) == ABSENT:
        return None
    raise SourceFailedError("unknown_404" if status == 404 else f"status_{status}")


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return None
