"""A carrier's SMS centre, by SMPP 3.4 through aiosmpplib: one bound session for messages and their receipts."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiosmpplib import ESME, DeliverSm, PhoneNumber, SubmitSm, SubmitSmResp
from aiosmpplib.broker import AbstractBroker
from aiosmpplib.correlator import SimpleCorrelator
from aiosmpplib.hook import AbstractHook
from aiosmpplib.protocol import MESSAGE_TYPE_MAP, BindTransceiverResp, SmppMessage
from aiosmpplib.state import NPI, TON, SmppCommand, SmppSessionState
from aiosmpplib.throttle import AbstractThrottleHandler
from aiosmpplib.utils import detect_format

from sms_service.senders.config import SmppConfig
from sms_service.senders.port import (
    SEND_SECONDS,
    ApplyReceipt,
    DeliveryStatus,
    Outcome,
    OutgoingMessage,
    Receipt,
    SendResult,
    safe_error_code,
    safe_provider_id,
)

STOP_SECONDS = 2.0
RECEIPT_RETRY_SECONDS = (0.2, 1.0, 3.0)
"""A receipt can arrive before the ledger has the provider's id of its message: then it is retried."""

_BY_STATUS = {
    "ESME_RINVDSTADR": Outcome.INVALID_NUMBER,
    "ESME_RINVDSTTON": Outcome.INVALID_NUMBER,
    "ESME_RINVDSTNPI": Outcome.INVALID_NUMBER,
    "ESME_RTHROTTLED": Outcome.RATE_LIMITED,
    "ESME_RMSGQFUL": Outcome.RATE_LIMITED,
    "ESME_RINVMSGLEN": Outcome.REFUSED,
    "ESME_RSUBMITFAIL": Outcome.PERMANENT,
    "ESME_RX_P_APPN": Outcome.PERMANENT,
    "ESME_RX_R_APPN": Outcome.REFUSED,
    "ESME_RX_T_APPN": Outcome.TRANSIENT,
    "ESME_RSYSERR": Outcome.TRANSIENT,
    "ESME_RUNKNOWNERR": Outcome.TRANSIENT,
    "ESME_RDELIVERYFAILURE": Outcome.PERMANENT,
}
"""Every other status means that our request is wrong: our address, parameters or permissions."""

_DELIVERY_STATUSES = {
    "DELIVRD": DeliveryStatus.DELIVERED,
    "UNDELIV": DeliveryStatus.FAILED,
    "EXPIRED": DeliveryStatus.FAILED,
    "REJECTD": DeliveryStatus.FAILED,
    "DELETED": DeliveryStatus.FAILED,
}

log = structlog.get_logger()


class _Receipt(DeliverSm):  # type: ignore[misc]
    """A receipt, read for the fields we need; the library's own parser ends the session over an unusual date."""

    def parse_receipt(self) -> dict[str, str]:
        fields = dict(re.findall(r"\b(id|stat|err):(\S+)", self.short_message, re.IGNORECASE))
        return {key.lower(): value for key, value in fields.items()} if self.is_receipt() else {}


MESSAGE_TYPE_MAP[SmppCommand.DELIVER_SM] = _Receipt


class _Session(AbstractBroker, AbstractHook, AbstractThrottleHandler, SimpleCorrelator):  # type: ignore[misc]
    """What the library needs from us: messages to send, and handlers for responses and receipts. It keeps no texts."""

    def __init__(self, name: str, apply_receipt: ApplyReceipt) -> None:
        SimpleCorrelator.__init__(self, name)
        self._name = name
        self._apply_receipt = apply_receipt
        self._queue: asyncio.Queue[SubmitSm] = asyncio.Queue()
        self._results: dict[str, asyncio.Future[SendResult]] = {}
        self._receipt_tasks: set[asyncio.Task[None]] = set()
        self.bind_status = ""

    async def submit(self, message: SubmitSm) -> SendResult:
        """Send a message and wait for its result. A message whose caller has given up is no longer sent."""
        result: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
        self._results[message.log_id] = result
        try:
            await self._queue.put(message)
            return await result
        finally:
            del self._results[message.log_id]

    def _resolve(self, log_id: str, result: SendResult) -> None:
        future = self._results.get(log_id)
        if future is not None and not future.done():
            future.set_result(result)

    # The broker interface

    async def enqueue(self, message: SmppMessage) -> None:
        await self._queue.put(message)

    async def dequeue(self) -> SmppMessage:
        while True:
            message = await self._queue.get()
            if message.log_id in self._results:
                return message

    # The hook interface

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None:
        """Do nothing before a message is sent."""

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:  # noqa: ARG002
        if isinstance(smpp_message, BindTransceiverResp):
            self.bind_status = smpp_message.command_status.name
        elif isinstance(smpp_message, DeliverSm) and smpp_message.is_receipt():
            self._receive_receipt(smpp_message.parse_receipt())
        elif isinstance(smpp_message, SubmitSmResp):
            self._resolve(
                smpp_message.log_id, _submit_result(smpp_message.command_status.name, smpp_message.message_id)
            )

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:  # noqa: ARG002
        outcome = Outcome.MISCONFIGURED if isinstance(error, ValueError) else Outcome.TRANSIENT
        self._resolve(smpp_message.log_id, SendResult(outcome, safe_error_code(type(error).__name__)))

    def _receive_receipt(self, fields: dict[str, str]) -> None:
        status = _DELIVERY_STATUSES.get(fields.get("stat", "").upper())
        if status is not None:
            receipt = Receipt(status, None, safe_provider_id(fields.get("id")), safe_error_code(fields.get("err", "")))
            task = asyncio.create_task(self._apply_with_retries(receipt))
            self._receipt_tasks.add(task)
            task.add_done_callback(self._receipt_tasks.discard)

    async def _apply_with_retries(self, receipt: Receipt) -> None:
        for pause in RECEIPT_RETRY_SECONDS:
            with contextlib.suppress(Exception):  # PostgreSQL may be unavailable: the next try may succeed
                if await self._apply_receipt(self._name, receipt):
                    return
            await asyncio.sleep(pause)
        log.warning("receipt.lost", sender=self._name)

    # The throttle handler interface: our breakers and limits decide earlier, before a sender is chosen

    async def allow_request(self) -> bool:
        return True

    async def not_throttled(self) -> None:
        """Count nothing here."""

    async def throttled(self) -> None:
        """Count nothing here."""

    async def throttle_delay(self) -> float:
        return 0.0

    # The correlator interface: the ledger matches receipts to messages, so nothing is kept here

    async def put_delivery(self, smsc_message_id: str, submit_sm: SubmitSm) -> None:
        """Keep nothing; the ledger has the id."""

    async def get_delivery(self, deliver_sm: DeliverSm) -> SubmitSm | None:  # noqa: ARG002
        return None


class _Esme(ESME):  # type: ignore[misc]
    """The library's session, which also closes the connections that it has lost."""

    _opened: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self.hang_up()
        try:
            await super().connect()
        finally:
            self._opened = self._writer

    def hang_up(self) -> None:
        """Close the connection in any state."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class SmppSender:
    """Submits over one session, which binds again after it is lost. While it is not bound, sends fail at once."""

    def __init__(self, name: str, config: SmppConfig, session: _Session, esme: ESME) -> None:
        self.name = name
        self._source = _source_address(config.source)
        self._session = session
        self._esme = esme

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: SmppConfig, apply_receipt: ApplyReceipt) -> AsyncIterator["SmppSender"]:
        """A sender whose session lasts as long as the block. Its receipts go to ``apply_receipt``."""
        session = _Session(name, apply_receipt)
        esme = _Esme(
            smsc_host=config.host,
            smsc_port=config.port,
            system_id=config.system_id,
            password=config.password.get_secret_value(),
            hook=session,
            broker=session,
            throttle_handler=session,
            correlator=session,
            socket_timeout=SEND_SECONDS,
            enquire_link_interval=30.0,
            log_level=logging.CRITICAL,  # it would log the texts of messages
            log_handler=logging.NullHandler(),
        )
        session_task = asyncio.create_task(esme.start(), name=f"smpp-{name}")
        try:
            yield cls(name, config, session, esme)
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(STOP_SECONDS):
                    await esme.stop()
            session_task.cancel()
            await asyncio.gather(session_task, return_exceptions=True)
            esme.hang_up()

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        """Submit the message once and request a receipt."""
        if self._esme.session_state is not SmppSessionState.BOUND_TRX:
            refused = self._session.bind_status not in {"", "ESME_ROK", "ESME_RSYSERR", "ESME_RALYBND"}
            status = self._session.bind_status if refused else "not_bound"
            return SendResult(Outcome.MISCONFIGURED if refused else Outcome.TRANSIENT, safe_error_code(status))
        submit = SubmitSm(
            short_message=outgoing.text,
            source=self._source,
            destination=PhoneNumber(outgoing.to.removeprefix("+"), TON.INTERNATIONAL, NPI.ISDN),
            encoding=detect_format(outgoing.text),
            validity_period=outgoing.remaining,
            registered_delivery=1,
            log_id=str(outgoing.message_id),
        )
        return await self._session.submit(submit)


def _submit_result(status: str, provider_id: str) -> SendResult:
    if status == "ESME_ROK":
        return SendResult(Outcome.ACCEPTED, provider_id=safe_provider_id(provider_id))
    return SendResult(_BY_STATUS.get(status, Outcome.MISCONFIGURED), safe_error_code(status))


def _source_address(source: str) -> PhoneNumber:
    if source.removeprefix("+").isdigit():
        ton = TON.INTERNATIONAL if source.startswith("+") else TON.UNKNOWN
        return PhoneNumber(source.removeprefix("+"), ton, NPI.ISDN)
    return PhoneNumber(source, TON.ALPHANUMERIC, NPI.UNKNOWN)
