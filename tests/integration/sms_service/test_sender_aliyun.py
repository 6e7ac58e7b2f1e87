"""The Aliyun sender against a fake server that implements dysmsapi (RPC, signed with ACS3)."""

import json
from collections.abc import AsyncIterator

import pytest
from darabonba.exceptions import DaraException
from pydantic import SecretStr
from support.provider import HTML, Provider, provider
from support.sms import a_message

from shared.internal_api.sms import Language
from shared.phone import E164
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.aliyun import AliyunSender
from sms_service.senders.config import AliyunConfig, Templates
from sms_service.senders.port import Balance, Outcome

OK = {
    "Message": "OK",
    "RequestId": "F655A8D5-B967-440B-8683-DAD6FF8DE990",
    "Code": "OK",
    "BizId": "900619746936498440^0",
}


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Provider]:
    async with provider() as service:
        yield service


@pytest.fixture
async def sender(service: Provider) -> AsyncIterator[AliyunSender]:
    config = AliyunConfig.model_construct(
        access_key_id=SecretStr("key-id"),
        access_key_secret=SecretStr("key-secret"),
        sign_name="好码",
        templates=Templates(default="SMS_1", en="SMS_2"),
        code_parameter="code",
        endpoint=service.host,
        balance_endpoint=service.host,
        scheme="http",
    )
    service.requests.clear()
    async with AliyunSender.open("aliyun", config) as sender:
        yield sender


async def test_the_sender_fills_the_template_and_signs(service: Provider, sender: AliyunSender) -> None:
    service.responds(200, json.dumps(OK))
    message = a_message(E164("+8613800138000"))

    result = await sender.send(message)

    assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, OK["BizId"])
    (request,) = service.requests
    assert request.headers["x-acs-action"] == "SendSms"
    assert request.headers["Authorization"].startswith("ACS3-HMAC-SHA256 Credential=key-id,")
    parameters = request.query | request.form
    assert parameters["PhoneNumbers"] == "13800138000"
    assert (parameters["SignName"], parameters["TemplateCode"]) == ("好码", "SMS_1")
    assert json.loads(parameters["TemplateParam"]) == {"code": message.code}
    assert parameters["OutId"] == str(message.message_id)


async def test_a_number_abroad_is_sent_with_its_calling_code_and_no_plus_sign(
    service: Provider, sender: AliyunSender
) -> None:
    service.responds(200, json.dumps(OK))
    await sender.send(a_message(E164("+85261234567"), language=Language.ENGLISH))
    parameters = service.requests[0].query | service.requests[0].form
    assert (parameters["PhoneNumbers"], parameters["TemplateCode"]) == ("85261234567", "SMS_2")


def inside(code: str) -> tuple[int, str]:
    return 200, json.dumps({"Message": "触发号码天级流控 13800138000", "RequestId": "1", "Code": code})


def outside(status: int, code: str) -> tuple[int, str]:
    return status, json.dumps({"Code": code, "Message": "no", "RequestId": "1", "HostId": "x", "Recommend": ""})


@pytest.mark.parametrize(
    ("response", "outcome", "detail"),
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
async def test_every_response_is_an_outcome_of_one_request(
    service: Provider, sender: AliyunSender, response: tuple[int, str], outcome: Outcome, detail: str | None
) -> None:
    service.responds(*response)
    message = a_message()
    result = await SenderPool.of_one(sender).send("aliyun", message, message.remaining)
    assert result.outcome is outcome
    assert detail is None or result.detail == detail
    assert len(service.requests) == 1


async def test_a_provider_that_hangs_up_or_does_not_respond_is_an_outcome(
    service: Provider, sender: AliyunSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.2)
    sender_pool, message = SenderPool.of_one(sender), a_message()
    service.cut = True
    assert (await sender_pool.send("aliyun", message, message.remaining)).outcome is Outcome.TRANSIENT
    service.cut, service.silent = False, True
    assert (await sender_pool.send("aliyun", message, message.remaining)).detail == "timeout"
    service.silent = False


async def test_the_balance_is_what_is_available_in_the_account(service: Provider, sender: AliyunSender) -> None:
    data = {"AvailableAmount": "10,000.50", "AvailableCashAmount": "1.00", "Currency": "CNY"}
    service.responds(200, json.dumps({"Code": "200", "Success": True, "RequestId": "1", "Data": data}))

    assert await sender.balance() == Balance(10_000.5, "CNY")
    (request,) = service.requests
    assert request.headers["x-acs-action"] == "QueryAccountBalance"
    assert request.headers["x-acs-version"] == "2017-12-14"
    assert request.headers["Authorization"].startswith("ACS3-HMAC-SHA256 Credential=key-id,")


async def test_a_balance_that_is_refused_is_an_error(service: Provider, sender: AliyunSender) -> None:
    service.responds(*outside(403, "NotAuthorized"))
    with pytest.raises(DaraException):
        await sender.balance()
