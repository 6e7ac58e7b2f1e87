"""What a service answers: each endpoint with the function that answers its calls."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import structlog
from aiohttp import web
from pydantic import ValidationError

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.endpoint import AnyEndpoint, Endpoint, WireModel
from shared.internal_api.replies import JSON, Reply, problem
from shared.process.metrics import count_refusal

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)
Answer: TypeAlias = Callable[[web.Application, RequestT], Awaitable[ResponseT]]
AnyAnswer: TypeAlias = Callable[[web.Application, Any], Awaitable[WireModel]]

log = structlog.get_logger()


@dataclass(frozen=True)
class ServedCall:
    """An endpoint and the function that answers it. The function gets the application and the request model."""

    endpoint: AnyEndpoint
    answer: AnyAnswer

    async def reply(self, app: web.Application, body: bytes) -> Reply:
        """Read a body, answer it, and turn every ``ServiceError`` into a refusal."""
        try:
            response = await self.answer(app, self._read(body))
        except ServiceError as error:
            count_refusal(error.code.value, self.endpoint.path)
            return problem(error)
        return Reply(200, response.to_json(), JSON)

    def _read(self, body: bytes) -> WireModel:
        """Raises ``ServiceError(PARAMETER_INVALID)`` with the name of the first bad field."""
        try:
            request: WireModel = self.endpoint.request.from_json(body)
        except ValidationError as error:
            location = error.errors(include_input=False, include_url=False, include_context=False)[0]["loc"]
            raise ServiceError(ErrorCode.PARAMETER_INVALID, field=".".join(map(str, location))) from None
        return request


class Calls:
    """The calls that a module answers. ``by_path`` is what an application serves (``add_api``)."""

    def __init__(self) -> None:
        self.by_path: dict[str, ServedCall] = {}

    def answer(
        self, endpoint: Endpoint[RequestT, ResponseT]
    ) -> Callable[[Answer[RequestT, ResponseT]], Answer[RequestT, ResponseT]]:
        """Let the decorated function answer the calls of ``endpoint``."""

        def register(answer: Answer[RequestT, ResponseT]) -> Answer[RequestT, ResponseT]:
            self.by_path[endpoint.path] = ServedCall(endpoint, answer)
            return answer

        return register
