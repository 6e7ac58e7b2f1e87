"""Passes on refusals of busy hashing slowly, so that callers who repeat them at once cannot turn them into load."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.flows.services import Client
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    LOG_IN_WITH_PASSWORD,
    REGISTER,
    REGISTER_WITH_TOKENS,
    RESET_PASSWORD,
)
from shared.internal_api.endpoint import Endpoint, WireModel

HOLD_SECONDS = 2.0
"""How soon after its call a caller may be told that the service is busy. No caller waits longer for its turn."""

HASHING = frozenset(
    endpoint.path
    for endpoint in (LOG_IN_WITH_PASSWORD, REGISTER, REGISTER_WITH_TOKENS, RESET_PASSWORD, CHANGE_PASSWORD)
)
"""The calls that hash passwords: auth-service refuses those for which it has no time, at once."""

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)


class BusyHold:
    """The client of auth-service, which holds its refusals of calls that hash. Held callers keep no connection."""

    def __init__(self, auth: Client, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._auth = auth
        self._sleep = sleep

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Call the service. Raises what it raises, ``UNAVAILABLE`` no sooner than after the hold."""
        loop = asyncio.get_running_loop()
        held_until = loop.time() + HOLD_SECONDS
        try:
            return await self._auth.call(endpoint, request)
        except ServiceError as error:
            if error.code is ErrorCode.UNAVAILABLE and endpoint.path in HASHING:
                await self._sleep(held_until - loop.time())
            raise
