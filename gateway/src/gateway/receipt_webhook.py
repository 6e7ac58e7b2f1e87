"""The webhook for receipts of SMS providers. It forwards them unchanged to sms-service, which verifies signatures.

Anybody can post here. So a body is read only for a sender that sms-service knows, and not from a site that keeps
posting what is refused.
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
from shared.networks import site_of

MAX_RECEIPT_BYTES = 64 * 1024
MAX_QUERY = 2048
MAX_HEADER = 1024
SENDERS_SECONDS = 60.0
"""How long the list of senders is believed; about a name that is not in it, for ``RECHECK_SECONDS``."""
RECHECK_SECONDS = 5.0
MAX_REFUSED = 30
REFUSED_SECONDS = 60
"""Callbacks from one site that may be refused within ``REFUSED_SECONDS`` before the next ones are not read."""
MAX_SITES = 10_000

routes = web.RouteTableDef()


class ReceiptForwarder:
    """Forwards callbacks to sms-service."""

    def __init__(self, sms: InternalClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._sms = sms
        self._clock = clock
        self._senders: frozenset[str] = frozenset()
        self._listed_at = -SENDERS_SECONDS
        self._listing = asyncio.Lock()
        self._refused: TTLCache[str, int] = TTLCache(MAX_SITES, REFUSED_SECONDS, timer=clock)

    async def admit(self, sender: str, site: str) -> None:
        """Raise ``CALLER_LIMIT`` if too much from there was refused, or ``NOT_FOUND`` if there is no such sender."""
        if self._refused.get(site, 0) >= MAX_REFUSED:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=REFUSED_SECONDS)
        if not await self._is_sender(sender):
            self._count_refusal(site)
            raise ServiceError(ErrorCode.NOT_FOUND)

    async def forward(self, receipt: TakeReceipt, site: str) -> str:
        """The reply that the provider expects. Raises ``UNAUTHENTICATED`` if the callback is forged."""
        try:
            return (await self._sms.call(TAKE_RECEIPT, receipt)).reply
        except ServiceError as error:
            if error.code is ErrorCode.UNAUTHENTICATED:
                self._count_refusal(site)
            raise

    async def _is_sender(self, name: str) -> bool:
        async with self._listing:
            believed = SENDERS_SECONDS if name in self._senders else RECHECK_SECONDS
            if self._clock() - self._listed_at >= believed:
                self._senders = frozenset((await self._sms.call(LIST_RECEIPT_SENDERS, Empty())).names)
                self._listed_at = self._clock()
        return name in self._senders

    def _count_refusal(self, site: str) -> None:
        self._refused[site] = self._refused.get(site, 0) + 1


FORWARDER: web.AppKey[ReceiptForwarder] = web.AppKey("receipt_forwarder", ReceiptForwarder)


@routes.post("/hooks/sms/{sender:[a-z0-9][a-z0-9-]{0,31}}")
async def forward_receipt(request: web.Request) -> web.Response:
    """Respond 200 with the body that the provider expects, or 401 if the signature is invalid."""
    sender, site = request.match_info["sender"], _site(request)
    await request.app[FORWARDER].admit(sender, site)
    query = request.rel_url.raw_query_string
    if len(query) > MAX_QUERY:
        raise ServiceError(ErrorCode.PARAMETER_INVALID)
    body = base64.b64encode(await read_body(request, MAX_RECEIPT_BYTES)).decode()
    receipt = TakeReceipt(sender=sender, query=query, headers=_signature_headers(request), body=body)
    reply = await request.app[FORWARDER].forward(receipt, site)
    return web.Response(text=reply, content_type="application/json")


def _site(request: web.Request) -> str:
    address = request[ADDRESS]
    return site_of(address) if isinstance(address, IPv4Address | IPv6Address) else ""


def _signature_headers(request: web.Request) -> dict[str, str]:
    headers = {name: request.headers.get(name, "") for name in RECEIPT_HEADERS}
    return {name: value for name, value in headers.items() if value.isascii() and 0 < len(value) <= MAX_HEADER}
