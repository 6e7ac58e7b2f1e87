"""The SMPP sender against an SMS centre for tests, with receipts and lost sessions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiosmpplib import SubmitSmResp
from aiosmpplib.protocol import BindTransceiverResp, SmppMessage
from pydantic import SecretStr
from structlog.testing import capture_logs
from support.sms import a_message
from support.smsc import DELIVER, Centre, centre, receipt_body, write_pdu

from shared.internal_api.sms import Language
from shared.phone import E164
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.config import SmppConfig
from sms_service.senders.port import DeliveryStatus, Outcome, Receipt
from sms_service.senders.smpp import SmppSender
from sms_service.senders.smpp_session import Session


@asynccontextmanager
async def bound(smsc: Centre, password: str = "secret") -> AsyncIterator[tuple[SmppSender, asyncio.Queue[Receipt]]]:
    """A sender that has tried to bind, and the receipts that it has applied."""
    receipts: asyncio.Queue[Receipt] = asyncio.Queue()

    async def apply_receipt(sender: str, receipt: Receipt) -> bool:
        assert sender == "carrier"
        receipts.put_nowait(receipt)
        return True

    config = SmppConfig.model_construct(
        host="127.0.0.1", port=smsc.port, system_id="haoma", password=SecretStr(password), source="Haoma"
    )
    async with SmppSender.open("carrier", config, apply_receipt) as sender:
        async with asyncio.timeout(30):
            await smsc.bound.wait()
            while not sender._session.bind_status:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0)
        yield sender, receipts


async def test_the_sender_submits_once_in_the_alphabet_that_the_text_needs_and_applies_the_receipt() -> None:
    async with centre(receipt="DELIVRD") as smsc, bound(smsc) as (sender, receipts):
        chinese = await sender.send(a_message(E164("+8613800138000")))
        english = await sender.send(a_message(text="Your code is 314159", language=Language.ENGLISH))

        assert (chinese.outcome, chinese.provider_id) == (Outcome.ACCEPTED, "id-1")
        assert (english.outcome, english.provider_id) == (Outcome.ACCEPTED, "id-2")
        first, second = smsc.submitted
        assert (first.source, first.destination, first.registered) == ("Haoma", "8613800138000", 1)
        assert (first.data_coding, first.text) == (8, "【好码】验证码 314159")
        assert (second.data_coding, second.text) == (0, "Your code is 314159")
        async with asyncio.timeout(30):
            receipt = await receipts.get()
        assert receipt == Receipt(DeliveryStatus.DELIVERED, None, "id-1", "00A")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0B, Outcome.INVALID_NUMBER),
        (0x58, Outcome.RATE_LIMITED),
        (0x14, Outcome.RATE_LIMITED),
        (0x01, Outcome.REFUSED),
        (0x45, Outcome.PERMANENT),
        (0x08, Outcome.TRANSIENT),
        (0x0A, Outcome.MISCONFIGURED),
    ],
)
async def test_every_status_is_an_outcome(status: int, outcome: Outcome) -> None:
    async with centre(status=status) as smsc, bound(smsc) as (sender, _):
        assert (await sender.send(a_message())).outcome is outcome


async def test_a_wrong_password_is_misconfigured() -> None:
    async with centre() as smsc, bound(smsc, password="wrong") as (sender, _):
        result = await sender.send(a_message())
    assert (result.outcome, result.detail) == (Outcome.MISCONFIGURED, "ESME_RINVPASWD")


async def test_a_silent_centre_and_a_lost_session_are_outcomes_and_nothing_is_sent_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.2)
    async with centre(silent=True) as smsc, bound(smsc) as (sender, _):
        sender_pool, message = SenderPool.of_one(sender), a_message()
        assert (await sender_pool.send("carrier", message, message.remaining)).detail == "timeout"
        smsc.bound.clear()
        smsc.hang_up()
        async with asyncio.timeout(30):
            while sender._esme.session_state == 2 or smsc.writers:
                await asyncio.sleep(0.005)
        assert (await sender_pool.send("carrier", message, message.remaining)).outcome is Outcome.TRANSIENT
        smsc.silent = False
        async with asyncio.timeout(30):  # the sender binds again
            await smsc.bound.wait()
            while (await sender.send(a_message())).outcome is not Outcome.ACCEPTED:
                await asyncio.sleep(0.01)
        assert len(smsc.submitted) == 2


@pytest.mark.parametrize("length", [0, 4, 30])
async def test_a_receipt_that_is_cut_short_is_refused_and_the_session_goes_on(length: int) -> None:
    async with centre() as smsc, bound(smsc) as (sender, _):
        (writer,) = smsc.writers
        with capture_logs() as logs:
            write_pdu(writer, DELIVER, 0, 7, receipt_body("id-1", "DELIVRD")[:length])
            async with asyncio.timeout(30):
                while not smsc.refused:
                    await asyncio.sleep(0.005)
        assert (await sender.send(a_message())).outcome is Outcome.ACCEPTED
        assert (smsc.refused, smsc.writers) == ([7], {writer})
    assert {"event": "smpp.pdu_ignored", "log_level": "warning", "sender": "carrier"} in logs


@pytest.mark.parametrize("response", [BindTransceiverResp, SubmitSmResp])
async def test_the_sender_binds_again_after_an_error_that_the_library_does_not_expect(
    response: type[SmppMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    received, failed = Session.received, list[SmppMessage]()

    async def fail_once(self: Session, message: SmppMessage | None, pdu: bytes, client_id: str) -> None:
        await received(self, message, pdu, client_id)
        if isinstance(message, response) and not failed:
            failed.append(message)
            raise KeyError(client_id)

    monkeypatch.setattr(Session, "received", fail_once)
    with capture_logs() as logs:
        async with centre() as smsc, bound(smsc) as (sender, _), asyncio.timeout(30):
            while not failed or (await sender.send(a_message())).outcome is not Outcome.ACCEPTED:
                await sender.send(a_message())
                await asyncio.sleep(0.01)
            names = [task.get_name() for task in asyncio.all_tasks()]
            assert (names.count("Sender"), names.count("Receiver"), len(smsc.writers)) == (1, 1, 1)
    failures = [line for line in logs if line["event"] == "smpp.session_failed"]
    assert [(line["sender"], line["error"]) for line in failures] == [("carrier", "KeyError")]
