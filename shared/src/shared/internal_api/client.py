"""The client of a service's internal API: one call, one response or one refusal."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

import orjson
import structlog
from pydantic import SecretStr

from shared.deadline import TimeLimit
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.endpoint import PING, AnyEndpoint, Empty, Endpoint, WireModel
from shared.internal_api.principals import TOKEN_REFUSALS
from shared.internal_api.upstream import Response, Upstream, upstream
from shared.keys import active_tokens
from shared.process.pools import showing_slots
from shared.trace import current_cause, span

CALL_TIMEOUT_SECONDS = 4.0
"""The longest one call may take. It is below the 5 s in which every public contract reports an outage."""

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)

log = structlog.get_logger()


class TokenRefusedError(ServiceError):
    """The other service does not know our token, or does not allow us the call: the settings of both differ.

    For the client behind us it is an outage: its session lives.
    """

    def __init__(self) -> None:
        super().__init__(ErrorCode.UNAVAILABLE)


class InternalClient:
    """Calls the endpoints of one other service."""

    def __init__(self, upstream: Upstream, seconds: float = CALL_TIMEOUT_SECONDS) -> None:
        self._upstream = upstream
        self._limit = TimeLimit(seconds)

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Send one request and return its response.

        Raises the ``ServiceError`` that the other service raised, ``TokenRefusedError``, or
        ``ServiceError(UNAVAILABLE)`` when it does not answer. A call that may have had an effect is never repeated.
        """
        with span(endpoint.path, "client"):
            status, content = await self._post(endpoint, request.to_json())
        if status != 200:
            raise _refusal(content, endpoint.path, status)
        return endpoint.response.from_json(content)

    async def _post(self, endpoint: AnyEndpoint, body: bytes) -> Response:
        path, repeatable = endpoint.path, endpoint.repeatable
        try:
            with self._limit():
                return await self._upstream.post(path, body, current_cause(), repeatable=repeatable)
        except (TimeoutError, OSError) as error:
            report = log.debug if endpoint is PING else log.warning  # the caller reports what changes
            report("internal_call.failed", path=path, error=type(error).__name__)
            raise unavailable() from error

    def showing_pool(self, name: str) -> AbstractContextManager[None]:
        """Show the connections to the service in the metrics until the block ends."""
        return showing_slots(name, self._upstream.slots)

    async def ping(self) -> None:
        """Return if the service answers. Raises as ``call`` does."""
        await self.call(PING, Empty())


@asynccontextmanager
async def internal_client(
    url: str, tokens: SecretStr, *, seconds: float = CALL_TIMEOUT_SECONDS
) -> AsyncIterator[InternalClient]:
    """A client of the service at ``url``, which presents the first of the tokens (``active_tokens``).

    A call may take so many seconds. Its connections are closed at the end of the block.
    """
    token = active_tokens(tokens.get_secret_value())[0]
    async with upstream(url, {"Authorization": f"Bearer {token}"}) as opened:
        yield InternalClient(opened, seconds)


def _refusal(body: bytes, path: str, status: int) -> ServiceError:
    try:
        problem = orjson.loads(body)
        if problem["code"] in TOKEN_REFUSALS:
            log.error("internal_call.refused", path=path, error=problem["code"])
            return TokenRefusedError()
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
