"""What an internal call is answered with: a response model as JSON, or a refusal as problem details (RFC 9457)."""

import orjson
from aiohttp import web

from shared.errors import STATUS, ServiceError
from shared.values import value

JSON = "application/json"
PROBLEM = "application/problem+json"


@value
class Reply:
    """An answer before it is written to a connection."""

    status: int
    body: bytes
    content_type: str = PROBLEM
    retry_after: int | None = None

    def response(self) -> web.Response:
        """The answer for aiohttp."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return web.Response(status=self.status, body=self.body, content_type=self.content_type, headers=headers)


def problem(error: ServiceError) -> Reply:
    """A refusal with a stable ``code`` and what else it has."""
    status = STATUS[error.code]
    document: dict[str, object] = {"type": "about:blank", "title": error.code.value, "status": status}
    document["code"] = error.code.value
    if error.retry_after is not None:
        document["retry_after"] = error.retry_after
    if error.field:
        document["field"] = error.field
    if error.tries_left is not None:
        document["tries_left"] = error.tries_left
    if error.is_limited:
        document["is_limited"] = True
    return Reply(status, orjson.dumps(document), retry_after=error.retry_after)
