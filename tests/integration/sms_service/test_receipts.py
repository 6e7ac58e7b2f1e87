"""Receipts: verified, applied once in any order, and published as events."""

import asyncio
import base64
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from support.sms import Recorder, Sms, asking, fresh_number, refusal, running
from twilio.request_validator import RequestValidator

from shared.errors import ErrorCode
from shared.internal_api.sms import TakeReceipt
from shared.phone import E164
from shared.webhooks.signature import WebhookKey
from sms_service.receipts.readers import callback, readers
from sms_service.receipts.receipts import Receipts, changes
from sms_service.receipts.store import ReceiptStore
from sms_service.senders.config import AliyunConfig, InboxConfig, TencentConfig, TwilioConfig, WebhookConfig
from sms_service.senders.port import DeliveryStatus, Outcome, Receipt, SendResult

BASE = "https://api.example.com/hooks/sms"
KEY = SecretStr("a-receipt-key")
CONFIGS = {
    "own": WebhookConfig.model_construct(type="webhook", secret=SecretStr("whsec_c2VjcmV0")),
    "twilio": TwilioConfig.model_construct(type="twilio", auth_token=SecretStr("12345")),
    "aliyun": AliyunConfig.model_construct(type="aliyun", receipt_key=KEY),
    "tencent": TencentConfig.model_construct(type="tencent", receipt_key=KEY),
    "inbox": InboxConfig(type="inbox"),
    "keyless": AliyunConfig.model_construct(type="aliyun", receipt_key=None),
}

RECEIPT = "select receipt from attempts where message_id = $1"


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


@pytest.fixture
def receipts(sms: Sms) -> Receipts:
    return Receipts(ReceiptStore(sms.pool), readers(CONFIGS), lambda: None)


class Carrier(Recorder):
    """Accepts messages and gives each an id of its own."""

    async def send(self, message):
        await super().send(message)
        return SendResult(Outcome.ACCEPTED, provider_id=f"{self.name}-{message.message_id}")


async def sent(sms: Sms, sender: str) -> tuple[E164, UUID]:
    """A message that a sender has accepted."""
    number = fresh_number()
    await sms.codes().issue(asking(number))
    (row,) = await sms.sends(number)
    await sms.delivery(Carrier(name=sender)).deliver(row["message_id"])
    return number, row["message_id"]


async def events_of(sms: Sms, message_id: UUID) -> list[tuple[str, int]]:
    return [(event["type"], event["version"]) for event in await sms.events(str(message_id))]


def forward(sender: str, body: bytes, query: str = "", headers: dict[str, str] | None = None) -> TakeReceipt:
    return TakeReceipt(sender=sender, query=query, headers=headers or {}, body=base64.b64encode(body).decode())


def webhook(message_id: object, status: str, *, at: float = 0.0, secret: str = "whsec_c2VjcmV0") -> TakeReceipt:
    body = json.dumps({"id": str(message_id), "status": status, "detail": "carrier says 7"}).encode()
    return forward("own", body, headers=WebhookKey(secret).headers("evt-1", body, now=time.time() + at))


def twilio(message_id: object, status: str, token: str = "12345", **more: str) -> TakeReceipt:
    form = {"MessageSid": "SM1", "MessageStatus": status, "To": "+8613800138000", **more}
    url = f"{BASE}/twilio?m={message_id}"
    body = "&".join(f"{k}={v.replace('+', '%2B')}" for k, v in form.items()).encode()
    signature = RequestValidator(token).compute_signature(url, form)
    return forward("twilio", body, f"m={message_id}", {"x-twilio-signature": signature})


def aliyun(*reports: dict[str, object], key: str = "a-receipt-key") -> TakeReceipt:
    return forward("aliyun", json.dumps(list(reports)).encode(), f"key={key}")


def tencent(*reports: dict[str, object], key: str = "a-receipt-key") -> TakeReceipt:
    return forward("tencent", json.dumps(list(reports)).encode(), f"key={key}")


async def take(receipts: Receipts, request: TakeReceipt) -> str:
    return await receipts.take(request.sender, callback(request, BASE))


def report_of(sender: str, message_id: UUID, *, delivered: bool) -> TakeReceipt:
    if sender == "own":
        return webhook(message_id, "delivered" if delivered else "failed")
    if sender == "twilio":
        return twilio(message_id, *(["delivered"] if delivered else ["undelivered"]), ErrorCode="30003")
    if sender == "aliyun":
        return aliyun({"out_id": str(message_id), "success": delivered, "err_code": "DELIVERED", "biz_id": "1"})
    status = "SUCCESS" if delivered else "FAIL"
    return tencent({"sid": f"tencent-{message_id}", "report_status": status, "errmsg": "DELIVRD", "mobile": "138"})


SENDERS = ("own", "twilio", "aliyun", "tencent")


@pytest.mark.parametrize("sender", SENDERS)
async def test_a_repeated_receipt_has_one_event(sms: Sms, receipts: Receipts, sender: str) -> None:
    number, message_id = await sent(sms, sender)
    request = report_of(sender, message_id, delivered=True)

    await asyncio.gather(*(take(receipts, request) for _ in range(5)))

    events = await events_of(sms, message_id)
    assert [kind for kind, _ in events] == ["sms.message.sent.v1", "sms.message.delivered.v1"]
    (attempt,) = await sms.attempts(number)
    assert (attempt["outcome"], attempt["receipt"]) == ("accepted", "delivered")
    assert attempt["receipt_at"] is not None


@pytest.mark.parametrize("sender", SENDERS)
async def test_delivered_replaces_failed_in_any_order(sms: Sms, receipts: Receipts, sender: str) -> None:
    number, message_id = await sent(sms, sender)
    for delivered in (False, True, False):
        await take(receipts, report_of(sender, message_id, delivered=delivered))

    events = await events_of(sms, message_id)
    assert [kind for kind, _ in events][1:] == ["sms.message.failed.v1", "sms.message.delivered.v1"]
    assert events[0][1] < events[1][1] < events[2][1]
    assert (await sms.attempts(number))[0]["receipt"] == "delivered"


def test_a_status_changes_nothing_or_a_failure() -> None:
    assert changes("", DeliveryStatus.FAILED)
    assert changes("", DeliveryStatus.DELIVERED)
    assert changes("failed", DeliveryStatus.DELIVERED)
    assert not changes("delivered", DeliveryStatus.FAILED)
    assert not changes("delivered", DeliveryStatus.DELIVERED)
    assert not changes("failed", DeliveryStatus.FAILED)


@pytest.mark.parametrize(
    "forge",
    [
        lambda: webhook(uuid4(), "delivered", secret="another"),
        lambda: webhook(uuid4(), "delivered", at=-400),
        lambda: webhook(uuid4(), "delivered", at=400),
        lambda: forward("own", b'{"id": "x", "status": "delivered"}'),
        lambda: twilio(uuid4(), "delivered", token="54321"),
        lambda: twilio(uuid4(), "delivered").model_copy(update={"query": f"m={uuid4()}"}),
        lambda: twilio(uuid4(), "delivered").model_copy(update={"headers": {}}),
        lambda: aliyun({"out_id": str(uuid4()), "success": True}, key="guessed"),
        lambda: tencent({"sid": "1", "report_status": "SUCCESS"}, key=""),
    ],
)
async def test_a_forged_receipt_is_refused(receipts: Receipts, forge: Callable[[], TakeReceipt]) -> None:
    assert (await refusal(take(receipts, forge()))).code is ErrorCode.UNAUTHENTICATED


async def test_a_webhook_receipt_may_have_the_id_that_the_sender_gave_to_the_message(
    sms: Sms, receipts: Receipts
) -> None:
    _, message_id = await sent(sms, "own")
    await take(receipts, webhook(f"own-{message_id}", "delivered"))
    assert await sms.pool.fetchval(RECEIPT, message_id) == "delivered"

    _, message_id = await sent(sms, "own")
    provider_id = str(uuid4())  # a UUID, as ours is
    await sms.pool.execute("update attempts set provider_id = $2 where message_id = $1", message_id, provider_id)
    await take(receipts, webhook(provider_id, "failed"))
    assert await sms.pool.fetchval(RECEIPT, message_id) == "failed"


async def test_a_receipt_that_could_belong_to_two_messages_changes_neither(sms: Sms, receipts: Receipts) -> None:
    messages = [(await sent(sms, "own"))[1] for _ in range(2)]
    await sms.pool.execute("update attempts set provider_id = 'twice' where message_id = any ($1::uuid[])", messages)
    with capture_logs() as logged:
        assert await take(receipts, webhook("twice", "delivered")) == "{}"

    assert [await sms.pool.fetchval(RECEIPT, message_id) for message_id in messages] == ["", ""]
    assert [(line["event"], line["log_level"], line["effect"]) for line in logged] == [
        ("receipt.unknown", "warning", "unknown")
    ]


@pytest.mark.parametrize("success", [True, False])
async def test_a_report_of_aliyun_is_read_as_aliyun_writes_it(sms: Sms, receipts: Receipts, success: bool) -> None:
    number, message_id = await sent(sms, "aliyun")
    times = {"send_time": "2026-11-28 00:00:00", "report_time": "2026-11-28 00:00:02"}
    status = {"success": success, "err_code": "DELIVERED" if success else "MN:0001", "err_msg": "用户接收成功"}
    ids = {"biz_id": "932702304080415357^0", "out_id": str(message_id), "phone_number": number[3:], "sms_size": "1"}

    await take(receipts, aliyun(times | status | ids))

    (attempt,) = await sms.attempts(number)
    assert attempt["receipt"] == ("delivered" if success else "failed")


@pytest.mark.parametrize("base", [BASE, BASE.replace("example.com", "example.com:443")])
@pytest.mark.parametrize("signed", [BASE, BASE.replace("example.com", "example.com:443")])
async def test_a_signature_of_twilio_holds_with_and_without_the_port_in_the_address(
    sms: Sms, receipts: Receipts, base: str, signed: str
) -> None:
    number, message_id = await sent(sms, "twilio")
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "ErrorCode": "", "RawDlrDoneDate": "2611280000"}
    url = f"{signed}/twilio?m={message_id}"
    signature = RequestValidator("12345").compute_signature(url, form)
    body = urlencode(form).encode()
    request = forward("twilio", body, f"m={message_id}", {"x-twilio-signature": signature})

    await receipts.take("twilio", callback(request, base))

    (attempt,) = await sms.attempts(number)
    assert attempt["receipt"] == "delivered"


async def test_a_receipt_for_an_unknown_message_or_from_another_sender_is_ignored(sms: Sms, receipts: Receipts) -> None:
    number, message_id = await sent(sms, "aliyun")
    assert await take(receipts, webhook(uuid4(), "delivered")) == "{}"
    assert await take(receipts, webhook(message_id, "delivered")) == "{}"
    assert await take(receipts, webhook("no id", "failed")) == "{}"
    assert await take(receipts, tencent({})) == '{"result":0,"errmsg":"OK"}'
    assert (await sms.attempts(number))[0]["receipt"] == ""


async def test_a_code_or_number_quoted_in_a_receipt_is_neither_stored_nor_logged(sms: Sms, receipts: Receipts) -> None:
    number, message_id = await sent(sms, "tencent")
    known = {"sid": f"tencent-{message_id}", "report_status": "FAIL", "errmsg": f"text 123456 to {number} was bad"}
    unknown = {"sid": f"msg-{number}-123456", "report_status": "FAIL", "errmsg": "12-34-56"}
    with capture_logs() as logged:
        await take(receipts, tencent(known, unknown))
    assert [line["effect"] for line in logged] == ["failed", "unknown"]
    (attempt,) = await sms.attempts(number)
    assert attempt["receipt_detail"] == "text___to___was_bad"
    assert not re.search(r"[0-9]{4}", repr(logged))


async def test_an_intermediate_status_changes_nothing(sms: Sms, receipts: Receipts) -> None:
    _, message_id = await sent(sms, "twilio")
    for status in ("queued", "sending", "sent"):
        await take(receipts, twilio(message_id, status))
    assert len(await events_of(sms, message_id)) == 1


async def test_one_callback_may_report_many_messages_and_gets_the_reply_that_the_provider_expects(
    sms: Sms, receipts: Receipts
) -> None:
    messages = [(await sent(sms, "aliyun"))[1] for _ in range(3)]
    reply = await take(receipts, aliyun(*({"out_id": str(one), "success": True} for one in messages)))
    assert json.loads(reply) == {"code": 0, "msg": "ok"}
    assert [len(await events_of(sms, one)) for one in messages] == [2, 2, 2]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"<html>", b"\xff"])
async def test_a_malformed_body_with_the_correct_key_is_a_parameter_error(receipts: Receipts, body: bytes) -> None:
    error = await refusal(take(receipts, forward("aliyun", body, "key=a-receipt-key")))
    assert error.code is ErrorCode.PARAMETER_INVALID


@pytest.mark.parametrize("sender", ["unknown", "inbox", "keyless"])
async def test_a_sender_without_receipts_over_http_is_not_found(receipts: Receipts, sender: str) -> None:
    assert (await refusal(take(receipts, forward(sender, b"[]")))).code is ErrorCode.NOT_FOUND


async def test_a_receipt_that_arrives_before_the_senders_response_is_not_lost(sms: Sms, receipts: Receipts) -> None:
    number = fresh_number()
    await sms.codes().issue(asking(number))
    (row,) = await sms.sends(number)

    class Quick(Recorder):
        async def send(self, message):
            await take(receipts, webhook(message.message_id, "delivered"))
            return await super().send(message)

    await sms.delivery(Quick(name="own")).deliver(row["message_id"])

    kinds = {kind for kind, _ in await events_of(sms, row["message_id"])}
    assert kinds == {"sms.message.sent.v1", "sms.message.delivered.v1"}
    (attempt,) = await sms.attempts(number)
    assert (attempt["outcome"], attempt["receipt"]) == ("accepted", "delivered")
    assert (await sms.sends(number))[0]["state"] == "sent"


async def test_a_sender_whose_message_was_not_delivered_is_skipped_on_a_new_request(
    sms: Sms, receipts: Receipts
) -> None:
    from sms_service.delivery.routing import Route
    from sms_service.delivery.sender_pool import SenderPool

    number, _ = await sent(sms, "own")
    (attempt,) = await sms.attempts(number)
    assert await receipts.apply("own", Receipt(DeliveryStatus.FAILED, attempt["message_id"]))
    await sms.age(number, seconds=61)
    await sms.codes().issue(asking(number))
    one, two = Recorder(name="own"), Recorder(name="other")
    again = (await sms.sends(number))[-1]["message_id"]
    await sms.delivery(SenderPool([one, two], [Route("+", ("own", "other"))], {})).deliver(again)
    assert (len(one.messages), len(two.messages)) == (0, 1)


def test_twilio_signatures_are_as_documented() -> None:
    url, form = "https://example.com/myapp", {"CallSid": "CA1", "From": "+1415"}
    data = (url + "CallSidCA1From+1415").encode()
    expected = base64.b64encode(hmac.digest(b"12345", data, "sha1")).decode()
    assert RequestValidator("12345").compute_signature(url, form) == expected
