"""The webhook for receipts of SMS providers. It forwards them unchanged to sms-service, which verifies signatures.

Anyone can post here. So a body is read only for a sender that sms-service knows, and not from an address that keeps
posting what is refused. Neither unknown names nor other addresses count on a provider.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from aiohttp import web
from cachetools import TTLCache

from gateway.dialect import ADDRESS
from gateway.http.request_body import read_body
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.client import InternalClient
from shared.internal_api.endpoint import Empty
from shared.internal_api.sms import LIST_RECEIPT_SENDERS, RECEIPT_HEADERS, TAKE_RECEIPT, TakeReceipt
from shared.networks import CallerNetworks

MAX_RECEIPT_BYTES = 64 * 1024
MAX_QUERY = 2048
MAX_HEADER = 1024
SENDERS_SECONDS = 60.0
"""How long the list of senders is believed; about a name that is not in it, for ``RECHECK_SECONDS``."""
RECHECK_SECONDS = 5.0
MAX_REFUSED = 30
REFUSED_SECONDS = 60
"""Callbacks to one sender from one address that may be refused before the next ones are not read.

The count begins anew after a correct callback, and when none is refused for ``REFUSED_SECONDS``.
"""
MAX_CALLERS = 10_000

routes = web.RouteTableDef()


class ReceiptForwarder:
    """Forwards callbacks to sms-service."""

    def __init__(self, sms: InternalClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._sms = sms
        self._clock = clock
        self._senders: frozenset[str] = frozenset()
        self._listed_at = -SENDERS_SECONDS
        self._listing = asyncio.Lock()
        self._refused: TTLCache[tuple[str, str], int] = TTLCache(MAX_CALLERS, REFUSED_SECONDS, timer=clock)

    async def admit(self, sender: str, address: str) -> None:
        """Raise ``NOT_FOUND`` if there is no such sender, or ``CALLER_LIMIT`` if too much for it was refused there."""
        if not await self._is_sender(sender):
            raise ServiceError(ErrorCode.NOT_FOUND)
        if self._refused.get((sender, address), 0) >= MAX_REFUSED:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=REFUSED_SECONDS)

    async def forward(self, receipt: TakeReceipt, address: str) -> str:
        """The reply that the provider expects. Raises ``UNAUTHENTICATED`` if the callback is forged."""
        caller = (receipt.sender, address)
        try:
            reply = (await self._sms.call(TAKE_RECEIPT, receipt)).reply
        except ServiceError as error:
            if error.code is ErrorCode.UNAUTHENTICATED:
                self._refused[caller] = self._refused.get(caller, 0) + 1
            raise
        self._refused.pop(caller, None)
        return reply

    async def _is_sender(self, name: str) -> bool:
        async with self._listing:
            believed = SENDERS_SECONDS if name in self._senders else RECHECK_SECONDS
            if self._clock() - self._listed_at >= believed:
                self._senders = frozenset((await self._sms.call(LIST_RECEIPT_SENDERS, Empty())).names)
                self._listed_at = self._clock()
        return name in self._senders


FORWARDER: web.AppKey[ReceiptForwarder] = web.AppKey("receipt_forwarder", ReceiptForwarder)


@routes.post("/hooks/sms/{sender:[a-z0-9][a-z0-9-]{0,31}}")
async def forward_receipt(request: web.Request) -> web.Response:
    """Respond 200 with the body that the provider expects, or 401 if the signature is invalid."""
    sender, address = request.match_info["sender"], _address(request)
    await request.app[FORWARDER].admit(sender, address)
    query = request.rel_url.raw_query_string
    if len(query) > MAX_QUERY:
        raise ServiceError(ErrorCode.PARAMETER_INVALID)
    body = base64.b64encode(await read_body(request, MAX_RECEIPT_BYTES)).decode()
    receipt = TakeReceipt(sender=sender, query=query, headers=_signature_headers(request), body=body)
    reply = await request.app[FORWARDER].forward(receipt, address)
    return web.Response(text=reply, content_type="application/json")


def _address(request: web.Request) -> str:
    """The address that refusals count on: of IPv6, the /64 that one host gets."""
    address = request[ADDRESS]
    return CallerNetworks.of(address).address if isinstance(address, IPv4Address | IPv6Address) else ""


def _signature_headers(request: web.Request) -> dict[str, str]:
    headers = {name: request.headers.get(name, "") for name in RECEIPT_HEADERS}
    return {name: value for name, value in headers.items() if value.isascii() and 0 < len(value) <= MAX_HEADER}
