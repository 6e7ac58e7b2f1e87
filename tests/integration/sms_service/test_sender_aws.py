"""The Amazon SNS sender against a fake that speaks its query protocol (form in, XML out, SigV4)."""

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


def error(status: int, code: str, said: str = "no") -> tuple[int, str]:
    kind = "Sender" if status < 500 else "Receiver"
    inner = f"<Type>{kind}</Type><Code>{code}</Code><Message>{said}</Message>"
    return status, f"<ErrorResponse {NS}><Error>{inner}</Error><RequestId>1</RequestId></ErrorResponse>"


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Provider]:
    async with provider(kind="text/xml") as made:
        yield made


@pytest.fixture
async def sender(service: Provider) -> AsyncIterator[AwsSender]:
    config = AwsConfig.model_construct(
        region="ap-southeast-1",
        access_key_id=SecretStr("AKIA1"),
        secret_access_key=SecretStr("secret"),
        sender_id="Haoma",
        endpoint_url=service.url,
    )
    service.asked.clear()
    async with AwsSender.open("aws", config) as opened:
        yield opened


async def test_it_publishes_to_the_number_as_a_transactional_message(service: Provider, sender: AwsSender) -> None:
    service.says(200, OK, "text/xml")
    message = a_message()

    answer = await sender.send(message)

    assert (answer.outcome, answer.provider_id) == (Outcome.ACCEPTED, "94f20ce6-13c5-43a0-9a9e-ca52d816e90b")
    (asked,) = service.asked
    assert asked.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA1/")
    assert (asked.form["Action"], asked.form["PhoneNumber"], asked.form["Message"]) == (
        "Publish",
        message.to,
        message.text,
    )
    assert {"Transactional", "Haoma"} <= set(asked.form.values())


@pytest.mark.parametrize(
    ("answer", "outcome", "detail"),
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
async def test_every_answer_is_an_outcome_and_asks_once(
    service: Provider, sender: AwsSender, answer: tuple[int, str], outcome: Outcome, detail: str | None
) -> None:
    service.says(*answer, "text/xml")
    message = a_message()
    found = await SenderPool.of_one(sender).send("aws", message, message.remaining)
    assert found.outcome is outcome
    assert detail is None or found.detail == detail
    assert len(service.asked) == 1


async def test_a_provider_that_hangs_up_or_says_nothing_is_an_outcome(
    service: Provider, sender: AwsSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_service.delivery.sender_pool.SEND_SECONDS", 0.2)
    sender_pool, message = SenderPool.of_one(sender), a_message()
    service.cut = True
    assert (await sender_pool.send("aws", message, message.remaining)).outcome is Outcome.TRANSIENT
    service.cut, service.silent = False, True
    assert (await sender_pool.send("aws", message, message.remaining)).detail == "timeout"
    service.silent = False
