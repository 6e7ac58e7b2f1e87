"""Calls that are repeated while a service sheds load, as its ``Retry-After`` asks clients to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import ErrorCode, ServiceError
from support.app import Reply

MAX_SECONDS = 90
"""How long a call is repeated. Less than the time limit of a test."""

ResultT = TypeVar("ResultT")


async def until_accepted(call: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Call a service, and repeat the call while it is unavailable. Raises every other refusal."""
    async with asyncio.timeout(MAX_SECONDS):
        while True:
            try:
                return await call()
            except ServiceError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(error.retry_after or 1)


async def until_answered(call: Callable[[], Awaitable[Reply]]) -> Reply:
    """Call the gateway, and repeat the call while it answers 503. Fails if a 503 has no ``Retry-After``."""
    async with asyncio.timeout(MAX_SECONDS):
        while (reply := await call()).status == 503:
            await asyncio.sleep(int(reply.headers["Retry-After"]))
        return reply
