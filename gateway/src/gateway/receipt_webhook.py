"""The webhook for receipts of SMS providers. It forwards them unchanged to sms-service, which verifies signatures."""

import base64

from aiohttp import web

from gateway.http.request_parsing import read_body
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.client import InternalClient
from shared.internal_api.sms import RECEIPT_HEADERS, TAKE_RECEIPT, TakeReceipt

MAX_RECEIPT_BYTES = 64 * 1024
MAX_QUERY = 2048
MAX_HEADER = 1024

SMS: web.AppKey[InternalClient] = web.AppKey("receipt_webhook_sms", InternalClient)

routes = web.RouteTableDef()


@routes.post("/hooks/sms/{sender:[a-z0-9][a-z0-9-]{0,31}}")
async def forward_receipt(request: web.Request) -> web.Response:
    """Respond 200 with the body that the provider expects, or 401 if the signature is invalid."""
    query = request.rel_url.raw_query_string
    if len(query) > MAX_QUERY:
        raise ServiceError(ErrorCode.PARAMETER_INVALID)
    body = await read_body(request, MAX_RECEIPT_BYTES)
    receipt = TakeReceipt(
        sender=request.match_info["sender"],
        query=query,
        headers=_signature_headers(request),
        body=base64.b64encode(body).decode(),
    )
    response = await request.app[SMS].call(TAKE_RECEIPT, receipt)
    return web.Response(text=response.reply, content_type="application/json")


def _signature_headers(request: web.Request) -> dict[str, str]:
    headers = {name: request.headers.get(name, "") for name in RECEIPT_HEADERS}
    return {name: value for name, value in headers.items() if value.isascii() and 0 < len(value) <= MAX_HEADER}
