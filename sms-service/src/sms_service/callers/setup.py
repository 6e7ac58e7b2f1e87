"""The rate limits on callers that the settings ask for, opened."""

from contextlib import AsyncExitStack

from shared import redis
from sms_service.callers.rate_limits import CallerRateLimits, NoCallerLimits


async def open_caller_limits(
    redis_url: str, stack: AsyncExitStack, *, enabled: bool
) -> CallerRateLimits | NoCallerLimits:
    """The limits, with connections to Redis until ``stack`` is closed."""
    if not enabled:
        return NoCallerLimits()
    return CallerRateLimits(await stack.enter_async_context(redis.client(redis_url)))
