"""The webhook sender against a service that verifies its signature, with errors and malformed responses."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from support.provider import HTML, Provider, provider
from support.sms import a_message

from shared.webhooks.signature import WebhookKey
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.config import WebhookConfig
from sms_service.senders.port import Outcome
from sms_service.senders.webhook import WebhookSender

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Provider]:
    async with provider() as service:
        yield service


@pytest.fixture
async def sender(service: Provider) -> AsyncIterator[WebhookSender]:
    config = WebhookConfig.model_construct(type="webhook", url=service.url + "/send", secret=SecretStr(SECRET))
    service.requests.clear()
    async with WebhookSender.open("own", config) as sender:
        yield sender


async def test_the_sender_posts_the_signed_message_once(service: Provider, sender: WebhookSender) -> None:
    service.responds(200, '{"id": "abc-1"}')
    message = a_message()

    result = await sender.send(message)

    assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, "abc-1")
    (request,) = service.requests
    assert WebhookKey(SECRET).verifies(request.headers, request.body)
    assert request.headers["webhook-id"] == str(message.message_id)
    assert json.loads(request.body) == {
        "id": str(message.message_id),
        "to": message.to,
        "text": message.text,
        "code": message.code,
        "purpose": "sign_up",
        "notice": "",
        "language": "zh",
        "expires_in": 300,
    }


@pytest.mark.parametrize(
    ("status", "body", "outcome", "detail"),
    [
        (204, "", Outcome.ACCEPTED, ""),
        (202, "{}", Outcome.ACCEPTED, ""),
        (200, '{"outcome": "invalid_number", "detail": "no such number +8613800138000"}', Outcome.INVALID_NUMBER, None),
        (200, '{"outcome": "flying"}', Outcome.TRANSIENT, "unknown_outcome"),
        (200, '{"error": "text refused"}', Outcome.REFUSED, "text_refused"),
        (200, HTML, Outcome.TRANSIENT, "malformed_response"),
        (200, "[]", Outcome.TRANSIENT, "malformed_response"),
        (200, '{"outcome": ', Outcome.TRANSIENT, "malformed_response"),
        (302, "", Outcome.TRANSIENT, "302"),
        (400, "", Outcome.PERMANENT, "400"),
        (401, HTML, Outcome.MISCONFIGURED, "401"),
        (404, HTML, Outcome.MISCONFIGURED, "404"),
        (422, '{"outcome": "refused", "detail": "words"}', Outcome.REFUSED, "words"),
        (429, "", Outcome.RATE_LIMITED, "429"),
        (502, HTML, Outcome.TRANSIENT, "502"),
        (503, '{"outcome": "accepted"}', Outcome.TRANSIENT, "503"),
    ],
)
async def test_every_response_is_an_outcome(
    service: Provider, sender: WebhookSender, status: int, body: str, outcome: Outcome, detail: str | None
) -> None:
    service.responds(status, body)
    result = await sender.send(a_message())
    assert result.outcome is outcome
    assert detail is None or result.detail == detail
    assert "13800138000" not in result.detail


async def test_a_service_that_is_unreachable_hangs_up_or_does_not_respond_is_an_outcome(
    service: Provider, sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.cut = True
    assert (await sender.send(a_message())).outcome is Outcome.TRANSIENT
    service.cut, service.silent = False, True
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.1)
    message = a_message()
    result = await SenderPool.of_one(sender).send("own", message, message.remaining)
    assert (result.outcome, result.detail) == (Outcome.TRANSIENT, "timeout")
    service.silent = False
    sender._url = "http://127.0.0.1:1/send"
    assert (await sender.send(a_message())).outcome is Outcome.TRANSIENT
