"""The internal API of receipts: read, call, reply."""

from collections.abc import Callable, Mapping

from aiohttp import web

from shared.internal_api.server import read, reply
from shared.internal_api.sms import LIST_RECEIPT_SENDERS, TAKE_RECEIPT, ReceiptSenders, ReceiptTaken
from shared.postgres import Pool
from sms_service.receipts.readers import callback, readers
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.senders.config import SenderConfig

RECEIPTS: web.AppKey[Receipts] = web.AppKey("receipts", Receipts)
CALLBACK_URL: web.AppKey[str] = web.AppKey("callback_url", str)

MAX_BODY_BYTES = 128 * 1024
"""A provider may report many messages in one callback. Every other request is far shorter."""

routes = web.RouteTableDef()


@routes.post(TAKE_RECEIPT.path)
async def take_receipt(request: web.Request) -> web.Response:
    call = await read(request, TAKE_RECEIPT)
    text = await request.app[RECEIPTS].take(call.sender, callback(call, request.app[CALLBACK_URL]))
    return reply(ReceiptTaken(reply=text))


@routes.post(LIST_RECEIPT_SENDERS.path)
async def list_receipt_senders(request: web.Request) -> web.Response:
    await read(request, LIST_RECEIPT_SENDERS)
    return reply(ReceiptSenders(names=request.app[RECEIPTS].senders))


def provide_receipts(
    app: web.Application,
    pool: Pool,
    wake: Callable[[], None],
    *,
    senders: Mapping[str, SenderConfig],
    callback_url: str | None,
) -> None:
    """Give an application what its receipt route calls. Raises ``MissingLibraryError``."""
    app[RECEIPTS] = Receipts(ReceiptStore(pool), readers(senders), wake)
    app[CALLBACK_URL] = callback_url or ""
