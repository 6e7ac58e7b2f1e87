"""The rate limits on callers that the settings ask for, opened."""

from contextlib import AsyncExitStack

from shared import redis
from sms_service.callers.limits import CallerLimitValues
from sms_service.callers.rate_limits import CallerRateLimits, NoCallerLimits


async def open_caller_limits(
    redis_url: str, stack: AsyncExitStack, limits: CallerLimitValues | None
) -> CallerRateLimits | NoCallerLimits:
    """The limits, with connections to Redis until ``stack`` is closed. Without ``limits`` nothing is limited."""
    if limits is None:
        return NoCallerLimits()
    return CallerRateLimits(await stack.enter_async_context(redis.client(redis_url)), limits)
