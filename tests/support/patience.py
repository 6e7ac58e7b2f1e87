"""Callers that come back when they are told to: a service that sheds load says when, and a client repeats."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import ErrorCode, ServiceError
from support.app import Reply

MOST_SECONDS = 90
"""The longest a call is repeated for; less than a test may take."""

Answer = TypeVar("Answer")


async def until_taken(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Call one of our services, again for as long as it is too busy. Raises what else it refuses with."""
    async with asyncio.timeout(MOST_SECONDS):
        while True:
            try:
                return await call()
            except ServiceError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(error.retry_after or 1)


async def until_answered(call: Callable[[], Awaitable[Reply]]) -> Reply:
    """Call the gateway, again for as long as it says 503. Fails when a 503 does not say when to come back."""
    async with asyncio.timeout(MOST_SECONDS):
        while (reply := await call()).status == 503:
            await asyncio.sleep(int(reply.headers["Retry-After"]))
        return reply
