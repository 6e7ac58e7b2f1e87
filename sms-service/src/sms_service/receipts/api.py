"""The internal API of receipts: take one, and list the senders that report any."""

from collections.abc import Callable, Mapping

from aiohttp import web

from shared.internal_api.calls import Calls
from shared.internal_api.endpoint import Empty
from shared.internal_api.sms import LIST_RECEIPT_SENDERS, TAKE_RECEIPT, ReceiptSenders, ReceiptTaken, TakeReceipt
from shared.postgres import Pool
from sms_service.receipts.readers import callback, readers
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.senders.config import SenderConfig

RECEIPTS: web.AppKey[Receipts] = web.AppKey("receipts", Receipts)
CALLBACK_URL: web.AppKey[str] = web.AppKey("callback_url", str)

MAX_BODY_BYTES = 128 * 1024
"""A provider may report many messages in one callback. Every other request is far shorter."""

calls = Calls()


@calls.answer(TAKE_RECEIPT)
async def take_receipt(app: web.Application, call: TakeReceipt) -> ReceiptTaken:
    text = await app[RECEIPTS].take(call.sender, callback(call, app[CALLBACK_URL]))
    return ReceiptTaken(reply=text)


@calls.answer(LIST_RECEIPT_SENDERS)
async def list_receipt_senders(app: web.Application, _: Empty) -> ReceiptSenders:
    return ReceiptSenders(names=app[RECEIPTS].senders)


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
