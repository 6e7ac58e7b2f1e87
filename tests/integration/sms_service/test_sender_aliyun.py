"""The Aliyun sender against a fake that speaks dysmsapi (RPC, signed with ACS3)."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from support.provider import HTML, Provider, provider
from support.sms import a_message

from shared.internal_api.sms import Language
from shared.phone import E164
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.aliyun import AliyunSender
from sms_service.senders.config import AliyunConfig, Templates
from sms_service.senders.port import Outcome

OK = {
    "Message": "OK",
    "RequestId": "F655A8D5-B967-440B-8683-DAD6FF8DE990",
    "Code": "OK",
    "BizId": "900619746936498440^0",
}


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Provider]:
    async with provider() as made:
        yield made


@pytest.fixture
async def sender(service: Provider) -> AsyncIterator[AliyunSender]:
    config = AliyunConfig.model_construct(
        access_key_id=SecretStr("key-id"),
        access_key_secret=SecretStr("key-secret"),
        sign_name="好码",
        templates=Templates(default="SMS_1", en="SMS_2"),
        code_parameter="code",
        endpoint=service.host,
        scheme="http",
    )
    service.asked.clear()
    async with AliyunSender.open("aliyun", config) as opened:
        yield opened


async def test_it_fills_the_template_and_signs(service: Provider, sender: AliyunSender) -> None:
    service.says(200, json.dumps(OK))
    message = a_message(E164("+8613800138000"))

    answer = await sender.send(message)

    assert (answer.outcome, answer.provider_id) == (Outcome.ACCEPTED, OK["BizId"])
    (asked,) = service.asked
    assert asked.headers["x-acs-action"] == "SendSms"
    assert asked.headers["Authorization"].startswith("ACS3-HMAC-SHA256 Credential=key-id,")
    given = asked.query | asked.form
    assert given["PhoneNumbers"] == "13800138000"
    assert (given["SignName"], given["TemplateCode"]) == ("好码", "SMS_1")
    assert json.loads(given["TemplateParam"]) == {"code": message.code}
    assert given["OutId"] == str(message.message_id)


async def test_abroad_it_wants_the_calling_code_without_a_plus_sign(service: Provider, sender: AliyunSender) -> None:
    service.says(200, json.dumps(OK))
    await sender.send(a_message(E164("+85261234567"), language=Language.ENGLISH))
    given = service.asked[0].query | service.asked[0].form
    assert (given["PhoneNumbers"], given["TemplateCode"]) == ("85261234567", "SMS_2")


def inside(code: str) -> tuple[int, str]:
    return 200, json.dumps({"Message": "触发号码天级流控 13800138000", "RequestId": "1", "Code": code})


def outside(status: int, code: str) -> tuple[int, str]:
    return status, json.dumps({"Code": code, "Message": "no", "RequestId": "1", "HostId": "x", "Recommend": ""})


@pytest.mark.parametrize(
    ("answer", "outcome", "detail"),
    [
        (inside("isv.BUSINESS_LIMIT_CONTROL"), Outcome.RATE_LIMITED, "isv.BUSINESS_LIMIT_CONTROL"),
        (inside("isv.MOBILE_NUMBER_ILLEGAL"), Outcome.INVALID_NUMBER, None),
        (inside("isv.SMS_SIGNATURE_ILLEGAL"), Outcome.MISCONFIGURED, None),
        (inside("isv.AMOUNT_NOT_ENOUGH"), Outcome.MISCONFIGURED, None),
        (inside("isv.BLACK_KEY_CONTROL_LIMIT"), Outcome.REFUSED, None),
        (inside("isp.SYSTEM_ERROR"), Outcome.TRANSIENT, None),
        (inside("something.NEW"), Outcome.TRANSIENT, "something.NEW"),
        (outside(403, "SignatureDoesNotMatch"), Outcome.MISCONFIGURED, "SignatureDoesNotMatch"),
        (outside(404, "InvalidAccessKeyId.NotFound"), Outcome.MISCONFIGURED, None),
        (outside(429, "Throttling.User"), Outcome.RATE_LIMITED, None),
        (outside(400, "isv.BUSINESS_LIMIT_CONTROL"), Outcome.RATE_LIMITED, None),
        (outside(503, "ServiceUnavailable"), Outcome.TRANSIENT, None),
        ((502, HTML), Outcome.TRANSIENT, None),
        ((200, HTML), Outcome.TRANSIENT, None),
        ((200, "{}"), Outcome.TRANSIENT, None),
        ((200, "[1]"), Outcome.TRANSIENT, None),
        ((200, ""), Outcome.TRANSIENT, None),
    ],
)
async def test_every_answer_is_an_outcome_and_asks_once(
    service: Provider, sender: AliyunSender, answer: tuple[int, str], outcome: Outcome, detail: str | None
) -> None:
    service.says(*answer)
    message = a_message()
    found = await SenderPool.of_one(sender).send("aliyun", message, message.remaining)
    assert found.outcome is outcome
    assert detail is None or found.detail == detail
    assert len(service.asked) == 1


async def test_a_provider_that_hangs_up_or_says_nothing_is_an_outcome(
    service: Provider, sender: AliyunSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.2)
    sender_pool, message = SenderPool.of_one(sender), a_message()
    service.cut = True
    assert (await sender_pool.send("aliyun", message, message.remaining)).outcome is Outcome.TRANSIENT
    service.cut, service.silent = False, True
    assert (await sender_pool.send("aliyun", message, message.remaining)).detail == "timeout"
    service.silent = False
