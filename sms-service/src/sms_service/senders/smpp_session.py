"""Sessions of SMPP 3.4 through aiosmpplib: what the library needs from us, and what keeps them up."""

import asyncio
import contextlib
import re
import struct
from codecs import CodecInfo

import structlog
from aiosmpplib import ESME, DeliverSm, SubmitSm, SubmitSmResp
from aiosmpplib.broker import AbstractBroker
from aiosmpplib.correlator import SimpleCorrelator
from aiosmpplib.hook import AbstractHook
from aiosmpplib.protocol import MESSAGE_TYPE_MAP, BindTransceiverResp, SmppMessage
from aiosmpplib.retrytimer import AbstractRetryTimer
from aiosmpplib.state import PduHeader, SmppCommand
from aiosmpplib.throttle import AbstractThrottleHandler

from sms_service.senders.port import (
    ApplyReceipt,
    DeliveryStatus,
    Outcome,
    Receipt,
    SendResult,
    safe_error_code,
    safe_provider_id,
)

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.25, 32.0
"""The pause before the next bind, which doubles with every bind that fails."""
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

    @classmethod
    def from_pdu(
        cls,
        pdu: bytes,
        header: PduHeader,
        default_encoding: str = "",
        custom_codecs: dict[str, CodecInfo] | None = None,
    ) -> SmppMessage:
        """Raises ``ValueError``, which the library answers with a negative acknowledgement, also for a cut PDU."""
        try:
            return super().from_pdu(pdu, header, default_encoding, custom_codecs)
        except (struct.error, LookupError) as error:
            raise ValueError(str(error)) from error

    def parse_receipt(self) -> dict[str, str]:
        fields = dict(re.findall(r"\b(id|stat|err):(\S+)", self.short_message, re.IGNORECASE))
        return {key.lower(): value for key, value in fields.items()} if self.is_receipt() else {}


MESSAGE_TYPE_MAP[SmppCommand.DELIVER_SM] = _Receipt


class Session(AbstractBroker, AbstractHook, AbstractThrottleHandler, SimpleCorrelator):  # type: ignore[misc]
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
        if smpp_message is None:
            log.warning("smpp.pdu_ignored", sender=self._name)
        elif isinstance(smpp_message, BindTransceiverResp):
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


def _submit_result(status: str, provider_id: str) -> SendResult:
    if status == "ESME_ROK":
        return SendResult(Outcome.ACCEPTED, provider_id=safe_provider_id(provider_id))
    return SendResult(_BY_STATUS.get(status, Outcome.MISCONFIGURED), safe_error_code(status))


class RetryTimer(AbstractRetryTimer):  # type: ignore[misc]
    """Pauses before every bind but the first: the library's own would bind again at once after each session."""

    def __init__(self) -> None:
        self._pause = MIN_PAUSE_SECONDS

    async def wait(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, MAX_PAUSE_SECONDS)

    def reset(self) -> None:
        self._pause = MIN_PAUSE_SECONDS

    def next_delay(self) -> float:
        return self._pause


class SupervisedEsme(ESME):  # type: ignore[misc]
    """The library's sessions, one after the other. It also closes connections that are lost, and survives any error."""

    _opened: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        """Bind, and bind again after every session, until the sender stops."""
        while True:
            try:
                await super().start()
            except Exception as error:  # noqa: BLE001  the library expects few errors while it binds
                self._log_error(error)
            else:
                return
            await self.retry_timer.wait()

    async def _end_task(self, task: asyncio.Task[object]) -> None:
        """Wait until a task of a session has ended. The library would pass on most errors, and never bind again."""
        try:
            await super()._end_task(task)
        except Exception as error:  # noqa: BLE001  as above
            self._log_error(error)

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

    def _log_error(self, error: Exception) -> None:
        log.warning("smpp.session_failed", sender=self.client_id, error=type(error).__name__)
