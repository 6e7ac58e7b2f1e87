"""The internal API: read, call, reply."""

from aiohttp import web

from shared.internal_api.server import read, reply
from shared.internal_api.sms import ASK_STATUS, CHECK_CODE, ISSUE_CODE, TAKE_RECEIPT, ReceiptTaken
from sms_service.receipts.readers import callback
from sms_service.receipts.receipts import Receipts
from sms_service.verification.codes import Verifications

CODES: web.AppKey[Verifications] = web.AppKey("codes", Verifications)
RECEIPTS: web.AppKey[Receipts] = web.AppKey("receipts", Receipts)
CALLBACKS: web.AppKey[str] = web.AppKey("callbacks", str)

EXPLAIN_PATH = "/v1/explain"
"""For operators: their token opens it, and the services' does not. ``timeline.api`` answers there."""

MAX_BODY = 128 * 1024
"""A provider may report many messages in one callback; every other question is far shorter."""

routes = web.RouteTableDef()


@routes.post(ISSUE_CODE.path)
async def issue_code(request: web.Request) -> web.Response:
    call = await read(request, ISSUE_CODE)
    return reply(await request.app[CODES].issue(call))


@routes.post(CHECK_CODE.path)
async def check_code(request: web.Request) -> web.Response:
    call = await read(request, CHECK_CODE)
    return reply(await request.app[CODES].check(call))


@routes.post(ASK_STATUS.path)
async def ask_status(request: web.Request) -> web.Response:
    call = await read(request, ASK_STATUS)
    return reply(await request.app[CODES].status(call))


@routes.post(TAKE_RECEIPT.path)
async def take_receipt(request: web.Request) -> web.Response:
    call = await read(request, TAKE_RECEIPT)
    answer = await request.app[RECEIPTS].take(call.sender, callback(call, request.app[CALLBACKS]))
    return reply(ReceiptTaken(answer=answer))
