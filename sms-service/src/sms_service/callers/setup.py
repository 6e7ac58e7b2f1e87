"""The rate limits on callers that the settings ask for, opened."""

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any, cast

from shared import redis
from shared.process.backends import Check
from sms_service.callers.limits import CallerLimitValues
from sms_service.callers.rate_limits import CallerRateLimits, NoCallerLimits


async def open_caller_limits(
    redis_url: str, stack: AsyncExitStack, limits: CallerLimitValues | None, backends: dict[str, Check]
) -> CallerRateLimits | NoCallerLimits:
    """The limits, with connections to Redis until ``stack`` is closed. Without ``limits`` nothing is limited.

    Redis is added to ``backends``.
    """
    if limits is None:
        return NoCallerLimits()
    client = await stack.enter_async_context(redis.client(redis_url))
    backends["redis"] = lambda: cast("Awaitable[Any]", client.ping())
    return CallerRateLimits(client, limits)
