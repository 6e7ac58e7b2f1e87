"""The Twilio sender against a fake server that implements Twilio's Messages API."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from support.provider import HTML, Provider, provider
from support.sms import a_message

from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.config import TwilioConfig
from sms_service.senders.port import Balance, Outcome
from sms_service.senders.twilio import TwilioSender

CREATED = {"sid": "SM90c6fc909d8504d45ecdb3a3d5b3556e", "status": "queued", "error_code": None, "num_segments": "1"}


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Provider]:
    async with provider() as service:
        yield service


@pytest.fixture
async def sender(service: Provider) -> AsyncIterator[TwilioSender]:
    config = TwilioConfig.model_construct(
        account_sid="AC1", auth_token=SecretStr("token"), from_number="+15005550006", base_url=service.url
    )
    service.requests.clear()
    async with TwilioSender.open("twilio", config, "https://api.example.com/hooks/sms/twilio") as sender:
        yield sender


async def test_the_sender_creates_a_message_with_a_callback_url_that_has_our_id(
    service: Provider, sender: TwilioSender
) -> None:
    service.responds(201, json.dumps(CREATED))
    message = a_message()

    result = await sender.send(message)

    assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, CREATED["sid"])
    (request,) = service.requests
    assert (request.method, request.path) == ("POST", "/2010-04-01/Accounts/AC1/Messages.json")
    assert request.headers["Authorization"] == "Basic QUMxOnRva2Vu"
    assert request.form == {
        "To": message.to,
        "From": "+15005550006",
        "Body": message.text,
        "StatusCallback": f"https://api.example.com/hooks/sms/twilio?m={message.message_id}",
    }


def error(status: int, code: int) -> tuple[int, str]:
    return status, json.dumps({"code": code, "message": "To +8613800138000", "more_info": "", "status": status})


@pytest.mark.parametrize(
    ("response", "outcome", "detail"),
    [
        (error(400, 21211), Outcome.INVALID_NUMBER, "21211"),
        (error(400, 21610), Outcome.REFUSED, "21610"),
        (error(400, 21612), Outcome.PERMANENT, "21612"),
        (error(400, 21999), Outcome.PERMANENT, "21999"),
        (error(401, 20003), Outcome.MISCONFIGURED, "20003"),
        (error(403, 21408), Outcome.MISCONFIGURED, "21408"),
        (error(404, 20404), Outcome.MISCONFIGURED, "20404"),
        (error(429, 20429), Outcome.RATE_LIMITED, "20429"),
        (error(503, 20503), Outcome.TRANSIENT, "20503"),
        ((502, HTML), Outcome.TRANSIENT, "502"),
        ((403, HTML), Outcome.MISCONFIGURED, "403"),
        ((200, HTML), Outcome.TRANSIENT, None),
        ((201, "[]"), Outcome.TRANSIENT, None),
        ((201, "{}"), Outcome.TRANSIENT, None),
        ((201, json.dumps(CREATED | {"status": "failed", "error_code": 30007})), Outcome.REFUSED, "30007"),
        ((201, json.dumps(CREATED | {"status": "undelivered", "error_code": 30005})), Outcome.PERMANENT, "30005"),
    ],
)
async def test_every_response_is_an_outcome(
    service: Provider, sender: TwilioSender, response: tuple[int, str], outcome: Outcome, detail: str | None
) -> None:
    service.responds(*response)
    message = a_message()
    result = await SenderPool.of_one(sender).send("twilio", message, message.remaining)
    assert result.outcome is outcome
    assert detail is None or result.detail == detail
    assert len(service.requests) == 1


async def test_a_provider_that_hangs_up_or_does_not_respond_is_an_outcome(
    service: Provider, sender: TwilioSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.2)
    sender_pool, message = SenderPool.of_one(sender), a_message()
    service.cut = True
    assert (await sender_pool.send("twilio", message, message.remaining)).outcome is Outcome.TRANSIENT
    service.cut, service.silent = False, True
    assert (await sender_pool.send("twilio", message, message.remaining)).detail == "timeout"
    service.silent = False


async def test_the_balance_is_that_of_the_account(service: Provider, sender: TwilioSender) -> None:
    service.responds(200, json.dumps({"account_sid": "AC1", "balance": "12.34", "currency": "USD"}))

    assert await sender.balance() == Balance(12.34, "USD")
    assert [(each.method, each.path) for each in service.requests] == [("GET", "/2010-04-01/Accounts/AC1/Balance.json")]
