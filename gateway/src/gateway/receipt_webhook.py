"""Receipts of SMS providers, passed on as they came to sms-service, which knows who may sign them. No dialect."""

import base64

from aiohttp import web

from gateway.backends import SmsBackend
from gateway.request_parsing import read_body
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import RECEIPT_HEADERS, TakeReceipt

MAX_RECEIPT = 64 * 1024
MAX_QUERY = 2048
MAX_HEADER = 1024

SMS: web.AppKey[SmsBackend] = web.AppKey("hooks_sms", SmsBackend)

routes = web.RouteTableDef()


@routes.post("/hooks/sms/{sender:[a-z0-9][a-z0-9-]{0,31}}")
async def take_receipt(request: web.Request) -> web.Response:
    """200 with what the provider wants to hear; 401 for a signature that is not its own."""
    query = request.rel_url.raw_query_string
    if len(query) > MAX_QUERY:
        raise ServiceError(ErrorCode.PARAMETER_INVALID)
    body = await read_body(request, MAX_RECEIPT)
    taken = await request.app[SMS].take_receipt(
        TakeReceipt(
            sender=request.match_info["sender"],
            query=query,
            headers=_signature(request),
            body=base64.b64encode(body).decode(),
        )
    )
    return web.Response(text=taken.answer, content_type="application/json")


def _signature(request: web.Request) -> dict[str, str]:
    found = {name: request.headers.get(name, "") for name in RECEIPT_HEADERS}
    return {name: value for name, value in found.items() if value.isascii() and 0 < len(value) <= MAX_HEADER}
