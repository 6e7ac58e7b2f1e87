"""The client of a service's internal API: one call, one response or one refusal, never a retry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import orjson
import structlog

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.endpoint import Endpoint, WireModel
from shared.internal_api.upstream import Upstream, upstream
from shared.trace import current_cause

CALL_TIMEOUT_SECONDS = 4.0
"""The longest one call may take. It is below the 5 s in which every public contract reports an outage."""

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)

log = structlog.get_logger()


class InternalClient:
    """Calls the endpoints of one other service."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Send one request and return its response.

        Raises the ``ServiceError`` that the other service raised, or ``ServiceError(UNAVAILABLE)`` when it does
        not answer. A call is never retried.
        """
        body = request.model_dump_json().encode()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                status, content = await self._upstream.post(endpoint.path, body, current_cause())
        except (TimeoutError, OSError) as error:
            log.warning("internal_call.failed", path=endpoint.path, error=type(error).__name__)
            raise unavailable() from error
        if status != 200:
            raise _refusal(content, endpoint.path, status)
        return endpoint.response.model_validate_json(content)


@asynccontextmanager
async def internal_client(url: str, service_token: str) -> AsyncIterator[InternalClient]:
    """A client of the service at ``url``. Its connections are closed at the end of the block."""
    async with upstream(url, {"Authorization": f"Bearer {service_token}"}) as opened:
        yield InternalClient(opened)


def _refusal(body: bytes, path: str, status: int) -> ServiceError:
    try:
        problem = orjson.loads(body)
        code = ErrorCode(problem["code"])
    except (ValueError, LookupError, TypeError):
        log.warning("internal_response.rejected", path=path, status=status)
        return unavailable()
    return ServiceError(
        code,
        retry_after=problem.get("retry_after"),
        field=problem.get("field"),
        tries_left=problem.get("tries_left"),
        is_limited=problem.get("is_limited", False),
    )
