"""Responses as JSON."""

from collections.abc import AsyncIterator

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from shared.errors import ErrorCode, ServiceError

log = structlog.get_logger()

ENVELOPE_STATUS = {
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.SENDING_PAUSED: 503,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 503,
}
"""HTTP statuses of refusals in contracts that respond 200 to every other refusal."""


def json_response(body: object, *, status: int = 200, error: ServiceError | None = None) -> web.Response:
    """A response with a JSON body. A refusal carries its ``Retry-After`` (whole seconds, at least 1)."""
    raw = json_of(body)
    headers = {}
    if error is not None and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, error.retry_after))
    return web.Response(body=raw, status=status, content_type="application/json", headers=headers)


def json_of(body: object) -> bytes:
    """A body as JSON."""
    if isinstance(body, BaseModel):
        return body.__pydantic_serializer__.to_json(body, by_alias=True)
    return orjson.dumps(body)


def rendered_response(raw: bytes) -> web.Response:
    """A response with a JSON body that was rendered before."""
    return web.Response(body=raw, content_type="application/json")


def streamed_response(request: web.Request, body: AsyncIterator[bytes], *, file_name: str) -> web.Response:
    """A response with a JSON body of any size, which is sent part by part, and which a browser saves as a file.

    If a part cannot be read, the connection ends: a body without its end is all that says so, because the status is
    with the client already.
    """

    async def parts() -> AsyncIterator[bytes]:
        try:
            async for part in body:
                yield part
        except ServiceError as error:
            log.warning("response.cut_off", refusal=error.code.value)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the rest of the body cannot be read") from error

    headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return web.Response(body=parts(), content_type="application/json", headers=headers)


def redirect_to(path: str) -> Handler:
    """A handler that leads to another page of ours (HTTP 302) and keeps the query, such as the language."""

    async def redirect(request: web.Request) -> web.Response:
        address = path + (f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else "")
        return web.Response(status=302, text=f"{path}\n", headers={"Location": address})

    return redirect
