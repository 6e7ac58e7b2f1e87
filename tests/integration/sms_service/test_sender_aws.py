"""The Amazon SNS sender against a fake server that implements its query protocol (form in, XML out, SigV4)."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from support.provider import HTML, Provider, provider
from support.sms import a_message

from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.aws import AwsSender
from sms_service.senders.config import AwsConfig
from sms_service.senders.port import Outcome

NS = 'xmlns="http://sns.amazonaws.com/doc/2010-03-31/"'
OK = (
    f"<PublishResponse {NS}><PublishResult><MessageId>94f20ce6-13c5-43a0-9a9e-ca52d816e90b</MessageId></PublishResult>"
    "<ResponseMetadata><RequestId>f187a3c1</RequestId></ResponseMetadata></PublishResponse>"
)


def error(status: int, code: str, text: str = "no") -> tuple[int, str]:
    kind = "Sender" if status < 500 else "Receiver"
    inner = f"<Type>{kind}</Type><Code>{code}</Code><Message>{text}</Message>"
    return status, f"<ErrorResponse {NS}><Error>{inner}</Error><RequestId>1</RequestId></ErrorResponse>"


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Provider]:
    async with provider(content_type="text/xml") as service:
        yield service


@pytest.fixture
async def sender(service: Provider) -> AsyncIterator[AwsSender]:
    config = AwsConfig.model_construct(
        region="ap-southeast-1",
        access_key_id=SecretStr("AKIA1"),
        secret_access_key=SecretStr("secret"),
        sender_id="Haoma",
        endpoint_url=service.url,
    )
    service.requests.clear()
    async with AwsSender.open("aws", config) as sender:
        yield sender


async def test_the_sender_publishes_to_the_number_as_a_transactional_message(
    service: Provider, sender: AwsSender
) -> None:
    service.responds(200, OK, "text/xml")
    message = a_message()

    result = await sender.send(message)

    assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, "94f20ce6-13c5-43a0-9a9e-ca52d816e90b")
    (request,) = service.requests
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA1/")
    assert (request.form["Action"], request.form["PhoneNumber"], request.form["Message"]) == (
        "Publish",
        message.to,
        message.text,
    )
    assert {"Transactional", "Haoma"} <= set(request.form.values())


@pytest.mark.parametrize(
    ("response", "outcome", "detail"),
    [
        (
            error(400, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: +86 is bad"),
            Outcome.INVALID_NUMBER,
            None,
        ),
        (error(400, "InvalidParameter", "Invalid parameter: Message"), Outcome.PERMANENT, "InvalidParameter"),
        (error(400, "OptedOut"), Outcome.PERMANENT, None),
        (error(400, "Throttling", "Rate exceeded"), Outcome.RATE_LIMITED, None),
        (error(403, "AuthorizationError"), Outcome.MISCONFIGURED, None),
        (error(403, "InvalidClientTokenId"), Outcome.MISCONFIGURED, "InvalidClientTokenId"),
        (error(403, "SignatureDoesNotMatch"), Outcome.MISCONFIGURED, None),
        (error(500, "InternalError"), Outcome.TRANSIENT, None),
        (error(503, "ServiceUnavailable"), Outcome.TRANSIENT, None),
        ((502, HTML), Outcome.TRANSIENT, None),
        ((200, HTML), Outcome.TRANSIENT, None),
        ((200, "not xml"), Outcome.TRANSIENT, None),
        ((200, ""), Outcome.TRANSIENT, None),
    ],
)
async def test_every_response_is_an_outcome_of_one_request(
    service: Provider, sender: AwsSender, response: tuple[int, str], outcome: Outcome, detail: str | None
) -> None:
    service.responds(*response, "text/xml")
    message = a_message()
    result = await SenderPool.of_one(sender).send("aws", message, message.remaining)
    assert result.outcome is outcome
    assert detail is None or result.detail == detail
    assert len(service.requests) == 1


async def test_a_provider_that_hangs_up_or_does_not_respond_is_an_outcome(
    service: Provider, sender: AwsSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.2)
    sender_pool, message = SenderPool.of_one(sender), a_message()
    service.cut = True
    assert (await sender_pool.send("aws", message, message.remaining)).outcome is Outcome.TRANSIENT
    service.cut, service.silent = False, True
    assert (await sender_pool.send("aws", message, message.remaining)).detail == "timeout"
    service.silent = False
