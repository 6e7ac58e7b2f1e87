"""A carrier's SMS centre, by SMPP 3.4 through aiosmpplib: one bound session for messages and their receipts."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmpplib import ESME, PhoneNumber, SubmitSm
from aiosmpplib.state import NPI, TON, SmppSessionState
from aiosmpplib.utils import detect_format

from sms_service.senders.config import SmppConfig
from sms_service.senders.port import SEND_SECONDS, ApplyReceipt, Outcome, OutgoingMessage, SendResult, safe_error_code
from sms_service.senders.smpp_session import RetryTimer, Session, SupervisedEsme

STOP_SECONDS = 2.0


class SmppSender:
    """Submits over one session, which binds again after it is lost. While it is not bound, sends fail at once."""

    def __init__(self, name: str, config: SmppConfig, session: Session, esme: ESME) -> None:
        self.name = name
        self._source = _source_address(config.source)
        self._session = session
        self._esme = esme

    @classmethod
    @asynccontextmanager
    async def open(cls, name: str, config: SmppConfig, apply_receipt: ApplyReceipt) -> AsyncIterator["SmppSender"]:
        """A sender whose session lasts as long as the block. Its receipts go to ``apply_receipt``."""
        session = Session(name, apply_receipt)
        esme = SupervisedEsme(
            smsc_host=config.host,
            smsc_port=config.port,
            system_id=config.system_id,
            client_id=name,
            password=config.password.get_secret_value(),
            hook=session,
            broker=session,
            throttle_handler=session,
            correlator=session,
            retry_timer=RetryTimer(),
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


def _source_address(source: str) -> PhoneNumber:
    if source.removeprefix("+").isdigit():
        ton = TON.INTERNATIONAL if source.startswith("+") else TON.UNKNOWN
        return PhoneNumber(source.removeprefix("+"), ton, NPI.ISDN)
    return PhoneNumber(source, TON.ALPHANUMERIC, NPI.UNKNOWN)
