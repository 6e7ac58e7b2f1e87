"""A carrier's SMS centre by SMPP 3.4, by aiosmpplib: one bound session, receipts on the same."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
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

from sms_service.receipts.receipts import DeliveryStatus, Receipt
from sms_service.senders.config import SmppConfig
from sms_service.senders.port import SEND_SECONDS, Message, Outcome, SendResult, provider_id_of, safe_error_code

STOP_SECONDS = 2.0
RECEIPT_PAUSES = (0.2, 1.0, 3.0)
"""A receipt can be quicker than the record of the answer that names its message: then it is tried again."""

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
"""Every other status says that what we ask is not right: our address, our parameters, our rights."""

_FATES = {
    "DELIVRD": DeliveryStatus.DELIVERED,
    "UNDELIV": DeliveryStatus.FAILED,
    "EXPIRED": DeliveryStatus.FAILED,
    "REJECTD": DeliveryStatus.FAILED,
    "DELETED": DeliveryStatus.FAILED,
}

log = structlog.get_logger()
TakeReceipt = Callable[[str, Receipt], Awaitable[bool]]


class _Receipt(DeliverSm):  # type: ignore[misc]
    """A receipt read for what it must say; the library's own reading ends the session over an odd date."""

    def parse_receipt(self) -> dict[str, str]:
        found = dict(re.findall(r"\b(id|stat|err):(\S+)", self.short_message, re.IGNORECASE))
        return {key.lower(): value for key, value in found.items()} if self.is_receipt() else {}


MESSAGE_TYPE_MAP[SmppCommand.DELIVER_SM] = _Receipt


class _Session(AbstractBroker, AbstractHook, AbstractThrottleHandler, SimpleCorrelator):  # type: ignore[misc]
    """What the library asks of us: messages to send, and ears for what comes back. It keeps no text of any."""

    def __init__(self, name: str, take: TakeReceipt) -> None:
        SimpleCorrelator.__init__(self, name)
        self._name = name
        self._take = take
        self._waiting: asyncio.Queue[SubmitSm] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[SendResult]] = {}
        self._taking: set[asyncio.Task[None]] = set()
        self.bind_status = ""

    async def submit(self, message: SubmitSm) -> SendResult:
        """Send a message and wait for the answer. One that is given up while it waits is not sent any more."""
        answer: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
        self._answers[message.log_id] = answer
        try:
            await self._waiting.put(message)
            return await answer
        finally:
            del self._answers[message.log_id]

    def _settle(self, log_id: str, answer: SendResult) -> None:
        waiting = self._answers.get(log_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    # The broker

    async def enqueue(self, message: SmppMessage) -> None:
        await self._waiting.put(message)

    async def dequeue(self) -> SmppMessage:
        while True:
            message = await self._waiting.get()
            if message.log_id in self._answers:
                return message

    # The hook

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None:
        """Nothing to do before a message leaves."""

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:  # noqa: ARG002
        if isinstance(smpp_message, BindTransceiverResp):
            self.bind_status = smpp_message.command_status.name
        elif isinstance(smpp_message, DeliverSm) and smpp_message.is_receipt():
            self._hear(smpp_message.parse_receipt())
        elif isinstance(smpp_message, SubmitSmResp):
            self._settle(smpp_message.log_id, _answer(smpp_message.command_status.name, smpp_message.message_id))

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:  # noqa: ARG002
        outcome = Outcome.MISCONFIGURED if isinstance(error, ValueError) else Outcome.TRANSIENT
        self._settle(smpp_message.log_id, SendResult(outcome, safe_error_code(type(error).__name__)))

    def _hear(self, said: dict[str, str]) -> None:
        fate = _FATES.get(said.get("stat", "").upper())
        if fate is not None:
            receipt = Receipt(fate, None, provider_id_of(said.get("id")), safe_error_code(said.get("err", "")))
            task = asyncio.create_task(self._take_in(receipt))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)

    async def _take_in(self, receipt: Receipt) -> None:
        for pause in RECEIPT_PAUSES:
            with contextlib.suppress(Exception):  # PostgreSQL is away: the next try may find it
                if await self._take(self._name, receipt):
                    return
            await asyncio.sleep(pause)
        log.warning("receipt.lost", sender=self._name)

    # The throttle handler: our breaker and our limits decide, and before a message is given away

    async def allow_request(self) -> bool:
        return True

    async def not_throttled(self) -> None:
        """Nothing is counted here."""

    async def throttled(self) -> None:
        """Nothing is counted here."""

    async def throttle_delay(self) -> float:
        return 0.0

    # The correlator: receipts are matched in the ledger, so nothing is kept for them here

    async def put_delivery(self, smsc_message_id: str, submit_sm: SubmitSm) -> None:
        """The ledger knows."""

    async def get_delivery(self, deliver_sm: DeliverSm) -> SubmitSm | None:  # noqa: ARG002
        return None


class _Esme(ESME):  # type: ignore[misc]
    """The library's session, which closes the connections it has lost instead of leaving them to the collector."""

    _opened: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self.hang_up()
        try:
            await super().connect()
        finally:
            self._opened = self._writer

    def hang_up(self) -> None:
        """Close the connection, whatever state it is in."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class SmppSender:
    """Submits over a session that is bound again whenever it was lost; while it is not bound, nothing waits."""

    def __init__(self, name: str, config: SmppConfig, session: _Session, esme: ESME) -> None:
        self.name = name
        self._source = _address(config.source)
        self._session = session
        self._esme = esme

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: SmppConfig, take: TakeReceipt) -> AsyncIterator["SmppSender"]:
        """A sender whose session lasts as long as the block. ``take`` is given its receipts."""
        session = _Session(name, take)
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
            log_level=logging.CRITICAL,  # it logs messages with their text
            log_handler=logging.NullHandler(),
        )
        running = asyncio.create_task(esme.start(), name=f"smpp-{name}")
        try:
            yield cls(name, config, session, esme)
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(STOP_SECONDS):
                    await esme.stop()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            esme.hang_up()

    async def send(self, message: Message) -> SendResult:
        """Submit it once, with a receipt wanted."""
        if self._esme.session_state is not SmppSessionState.BOUND_TRX:
            refused = self._session.bind_status not in {"", "ESME_ROK", "ESME_RSYSERR", "ESME_RALYBND"}
            status = self._session.bind_status if refused else "not_bound"
            return SendResult(Outcome.MISCONFIGURED if refused else Outcome.TRANSIENT, safe_error_code(status))
        submit = SubmitSm(
            short_message=message.text,
            source=self._source,
            destination=PhoneNumber(message.to.removeprefix("+"), TON.INTERNATIONAL, NPI.ISDN),
            encoding=detect_format(message.text),
            validity_period=message.remaining,
            registered_delivery=1,
            log_id=str(message.message_id),
        )
        return await self._session.submit(submit)


def _answer(status: str, smsc_id: str) -> SendResult:
    if status == "ESME_ROK":
        return SendResult(Outcome.ACCEPTED, provider_id=provider_id_of(smsc_id))
    return SendResult(_BY_STATUS.get(status, Outcome.MISCONFIGURED), safe_error_code(status))


def _address(source: str) -> PhoneNumber:
    if source.removeprefix("+").isdigit():
        ton = TON.INTERNATIONAL if source.startswith("+") else TON.UNKNOWN
        return PhoneNumber(source.removeprefix("+"), ton, NPI.ISDN)
    return PhoneNumber(source, TON.ALPHANUMERIC, NPI.UNKNOWN)
