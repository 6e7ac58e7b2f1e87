"""The webhook for receipts: unknown senders and persistent forgers are refused before anything is read or passed on."""

import asyncio
from typing import Any

import pytest

from gateway.receipt_webhook import MAX_REFUSED, RECHECK_SECONDS, REFUSED_SECONDS, SENDERS_SECONDS, ReceiptForwarder
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.endpoint import Endpoint
from shared.internal_api.sms import LIST_RECEIPT_SENDERS, ReceiptSenders, ReceiptTaken, TakeReceipt

RECEIPT = TakeReceipt(sender="own", headers={}, body="")
HERE, NEXT_DOOR = "203.0.113.9", "203.0.113.10"


class SmsService:
    """sms-service with two senders, and the time."""

    def __init__(self) -> None:
        self.names = ["other", "own"]
        self.calls: list[str] = []
        self.refusal: ServiceError | None = None
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def call(self, endpoint: Endpoint, _: Any) -> Any:
        self.calls.append(endpoint.path)
        await asyncio.sleep(0)
        if self.refusal:
            raise self.refusal
        return ReceiptSenders(names=self.names) if endpoint is LIST_RECEIPT_SENDERS else ReceiptTaken(reply="{}")


@pytest.fixture
def sms() -> SmsService:
    return SmsService()


@pytest.fixture
def forwarder(sms: SmsService) -> ReceiptForwarder:
    return ReceiptForwarder(sms, sms.clock)  # type: ignore[arg-type]  # it has the one method that is called


async def refusal(call: Any) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await call
    return refused.value


async def test_an_unknown_sender_is_refused_and_asked_for_once(forwarder: ReceiptForwarder, sms: SmsService) -> None:
    refused = await asyncio.gather(
        *(refusal(forwarder.admit(f"x{n}", HERE)) for n in range(2 * MAX_REFUSED)), forwarder.admit("own", HERE)
    )

    assert {error.code for error in refused if error} == {ErrorCode.NOT_FOUND}
    assert sms.calls == [LIST_RECEIPT_SENDERS.path]


async def test_a_new_sender_is_known_after_a_few_seconds_and_one_that_left_after_a_minute(
    forwarder: ReceiptForwarder, sms: SmsService
) -> None:
    await forwarder.admit("own", HERE)
    sms.names = ["new"]
    assert (await refusal(forwarder.admit("new", HERE))).code is ErrorCode.NOT_FOUND
    await forwarder.admit("own", HERE)

    sms.now = RECHECK_SECONDS
    await forwarder.admit("new", HERE)
    sms.now += SENDERS_SECONDS
    assert (await refusal(forwarder.admit("own", HERE))).code is ErrorCode.NOT_FOUND


async def test_while_sms_service_is_unavailable_providers_are_told_to_come_back(
    forwarder: ReceiptForwarder, sms: SmsService
) -> None:
    sms.refusal = unavailable()
    assert (await refusal(forwarder.admit("own", HERE))).code is ErrorCode.UNAVAILABLE

    sms.refusal = None
    await forwarder.admit("own", HERE)


async def test_an_address_that_keeps_forging_is_refused_for_a_minute_and_nothing_else_is(
    forwarder: ReceiptForwarder, sms: SmsService
) -> None:
    await forwarder.admit("own", HERE)
    sms.refusal = ServiceError(ErrorCode.UNAUTHENTICATED)
    for _ in range(MAX_REFUSED):
        await forwarder.admit("own", HERE)
        assert (await refusal(forwarder.forward(RECEIPT, HERE))).code is ErrorCode.UNAUTHENTICATED

    error = await refusal(forwarder.admit("own", HERE))
    assert (error.code, error.retry_after) == (ErrorCode.CALLER_LIMIT, REFUSED_SECONDS)
    await forwarder.admit("own", NEXT_DOOR)
    await forwarder.admit("other", HERE)
    sms.now = REFUSED_SECONDS + 1
    sms.refusal = None
    await forwarder.admit("own", HERE)


async def test_receipts_that_are_taken_or_must_wait_are_never_limited(
    forwarder: ReceiptForwarder, sms: SmsService
) -> None:
    for _ in range(2 * MAX_REFUSED):
        await forwarder.admit("own", HERE)
        assert await forwarder.forward(RECEIPT, HERE) == "{}"
    sms.refusal = unavailable()
    for _ in range(2 * MAX_REFUSED):
        await refusal(forwarder.forward(RECEIPT, HERE))

    await forwarder.admit("own", HERE)


async def test_a_correct_receipt_ends_the_count_of_what_was_refused_before_it(
    forwarder: ReceiptForwarder, sms: SmsService
) -> None:
    for _ in range(2):
        sms.refusal = ServiceError(ErrorCode.UNAUTHENTICATED)
        for _ in range(MAX_REFUSED - 1):
            await refusal(forwarder.forward(RECEIPT, HERE))
        sms.refusal = None
        await forwarder.admit("own", HERE)
        assert await forwarder.forward(RECEIPT, HERE) == "{}"
