"""The Tencent Cloud sender against a fake server that implements its API (signed with TC3)."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from support.provider import HTML, Provider, provider
from support.sms import a_message
from tencentcloud.common.exception import TencentCloudSDKException

from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.config import Templates, TencentConfig
from sms_service.senders.port import Balance, Outcome
from sms_service.senders.tencent import TencentSender


def status(code: str) -> tuple[int, str]:
    one = {
        "SerialNo": "5000:1045710669157053657849499619",
        "PhoneNumber": "+8613800138000",
        "Fee": 1,
        "SessionContext": "x",
        "Code": code,
        "Message": "send success",
        "IsoCode": "CN",
    }
    return 200, json.dumps({"Response": {"SendStatusSet": [one], "RequestId": "a0aabda6"}})


def error(code: str) -> tuple[int, str]:
    return 200, json.dumps({"Response": {"Error": {"Code": code, "Message": "no"}, "RequestId": "a0aabda6"}})


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Provider]:
    async with provider() as service:
        yield service


@pytest.fixture
async def sender(service: Provider) -> AsyncIterator[TencentSender]:
    config = TencentConfig.model_construct(
        secret_id=SecretStr("secret-id"),
        secret_key=SecretStr("secret-key"),
        app_id="1400006666",
        sign_name="好码",
        templates=Templates(default="1110"),
        parameters=("code", "minutes"),
        region="ap-guangzhou",
        endpoint=service.host,
        scheme="http",
    )
    service.requests.clear()
    async with TencentSender.open("tencent", config) as sender:
        yield sender


async def test_the_sender_fills_the_template_and_signs(service: Provider, sender: TencentSender) -> None:
    service.responds(*status("Ok"))
    message = a_message()

    result = await sender.send(message)

    assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, "5000:1045710669157053657849499619")
    (request,) = service.requests
    assert (request.headers["X-TC-Action"], request.headers["X-TC-Version"]) == ("SendSms", "2021-01-11")
    assert request.headers["Authorization"].startswith("TC3-HMAC-SHA256 Credential=secret-id/")
    assert json.loads(request.body) == {
        "PhoneNumberSet": [message.to],
        "SmsSdkAppId": "1400006666",
        "TemplateId": "1110",
        "SignName": "好码",
        "TemplateParamSet": [message.code, "5"],
        "SessionContext": str(message.message_id),
    }


@pytest.mark.parametrize(
    ("response", "outcome", "detail"),
    [
        (status("LimitExceeded.PhoneNumberThirtySecondLimit"), Outcome.RATE_LIMITED, None),
        (status("InvalidParameterValue.IncorrectPhoneNumber"), Outcome.INVALID_NUMBER, None),
        (status("FailedOperation.ContainSensitiveWord"), Outcome.REFUSED, None),
        (status("FailedOperation.PhoneNumberInBlacklist"), Outcome.PERMANENT, None),
        (status("FailedOperation.InsufficientBalanceInSmsPackage"), Outcome.MISCONFIGURED, None),
        (status("InternalError.Timeout"), Outcome.TRANSIENT, "InternalError.Timeout"),
        (error("AuthFailure.SignatureFailure"), Outcome.MISCONFIGURED, "AuthFailure.SignatureFailure"),
        (error("UnauthorizedOperation.SmsSdkAppIdVerifyFail"), Outcome.MISCONFIGURED, None),
        (error("RequestLimitExceeded"), Outcome.RATE_LIMITED, None),
        (error("Something.New"), Outcome.TRANSIENT, "Something.New"),
        ((200, json.dumps({"Response": {"SendStatusSet": [], "RequestId": "1"}})), Outcome.TRANSIENT, None),
        ((200, json.dumps({"Response": {"RequestId": "1"}})), Outcome.TRANSIENT, None),
        ((502, HTML), Outcome.TRANSIENT, None),
        ((200, HTML), Outcome.TRANSIENT, None),
        ((200, "{}"), Outcome.TRANSIENT, None),
        ((200, ""), Outcome.TRANSIENT, None),
    ],
)
async def test_every_response_is_an_outcome_of_one_request(
    service: Provider, sender: TencentSender, response: tuple[int, str], outcome: Outcome, detail: str | None
) -> None:
    service.responds(*response, content_type="text/html" if response[1] == HTML else "application/json")
    message = a_message()
    result = await SenderPool.of_one(sender).send("tencent", message, message.remaining)
    assert result.outcome is outcome
    assert detail is None or result.detail == detail
    assert len(service.requests) == 1


async def test_a_provider_that_hangs_up_or_does_not_respond_is_an_outcome(
    service: Provider, sender: TencentSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.2)
    sender_pool, message = SenderPool.of_one(sender), a_message()
    service.cut = True
    assert (await sender_pool.send("tencent", message, message.remaining)).outcome is Outcome.TRANSIENT
    service.cut, service.silent = False, True
    assert (await sender_pool.send("tencent", message, message.remaining)).detail == "timeout"
    service.silent = False


async def test_the_balance_is_what_is_left_in_packages_that_have_not_expired(
    service: Provider, sender: TencentSender
) -> None:
    left = [(1000, 400, 4_000_000_000), (500, 500, 4_000_000_000), (1000, 0, 1_600_000_000)]
    packages = [
        {"PackageAmount": amount, "CurrentUsage": used, "PackageExpiredTime": until} for amount, used, until in left
    ]
    service.responds(200, json.dumps({"Response": {"SmsPackagesStatisticsSet": packages, "RequestId": "a0aabda6"}}))

    assert await sender.balance() == Balance(600, "messages")
    (request,) = service.requests
    assert request.headers["X-TC-Action"] == "SmsPackagesStatistics"
    fields = json.loads(request.body)
    assert fields["SmsSdkAppId"] == "1400006666"
    assert fields["BeginTime"] < fields["EndTime"]


async def test_a_balance_that_is_refused_is_an_error(service: Provider, sender: TencentSender) -> None:
    service.responds(*error("UnauthorizedOperation"))
    with pytest.raises(TencentCloudSDKException):
        await sender.balance()
