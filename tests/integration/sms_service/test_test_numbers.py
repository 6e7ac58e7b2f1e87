"""Test numbers, for app review: a fixed code, no messages, limits of their own, and a last day."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
from support.sms import PHONES, Recorder, Sms, asking, entering, fresh_number, looking_up, refusal, running, wrong

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose
from shared.networks import RequestSource
from shared.phone import E164
from sms_service.callers.rate_limits import NoCallerLimits
from sms_service.verification.send_limits import TEST_SENDS_PER_WINDOW
from sms_service.verification.test_numbers import TestNumber, TestNumbers

CODE = "424242"
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


NEXT_MONTH = TODAY + timedelta(days=30)


def with_test(number: E164, until: date = NEXT_MONTH) -> TestNumbers:
    """That number as a test number."""
    return TestNumbers([TestNumber(number, CODE, until)])


class RefuseAllSends(NoCallerLimits):
    """Caller limits that refuse each send."""

    async def charge_send(self, source: RequestSource, phone_ref: int | None) -> bool:  # noqa: ARG002  the port names them
        raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=60)


async def test_the_fixed_code_gives_a_ticket_and_no_message_is_sent(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes(test_numbers=with_test(number))

    issued = await codes.issue(asking(number))

    assert issued.code == CODE
    (row,) = await sms.sends(number)
    assert (row["state"], row["sender"], row["phone_sealed"]) == ("sent", "test number", None)
    assert (
        await sms.pool.fetchval(
            "select count(*) from outbox where body like $1", b"%" + str(row["message_id"]).encode() + b"%"
        )
        == 0
    )
    recorder = Recorder()
    await sms.delivery(recorder).deliver(row["message_id"])
    assert (recorder.messages, list(await sms.attempts(number))) == ([], [])
    assert (await refusal(codes.check(entering(number, wrong(CODE))))).code is ErrorCode.CODE_REFUSED
    assert (await codes.check(entering(number, CODE))).ticket
    events = await sms.events(str(issued.verification_id))
    assert [event["data"]["test_number"] for event in events] == [True, True, True]
    assert CODE not in str(events)


async def test_the_code_that_another_number_would_get_does_not_work(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes(test_numbers=with_test(number))
    issued = await codes.issue(asking(number))
    derived = sms.deriver.code(1, issued.verification_id, number, Purpose.SIGN_UP)
    assert (await refusal(codes.check(entering(number, derived)))).code is ErrorCode.CODE_REFUSED


async def test_the_fixed_code_does_not_work_before_a_code_is_requested(sms: Sms) -> None:
    number = fresh_number()
    assert (
        await refusal(sms.codes(test_numbers=with_test(number)).check(entering(number, CODE)))
    ).code is ErrorCode.CODE_REFUSED


async def test_a_test_number_has_no_cooldown_and_no_caller_limit_but_its_own_daily_cap(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes(RefuseAllSends(), with_test(number))
    for _ in range(12):
        await codes.issue(asking(number))
    await codes.status(looking_up(number))
    fill = "update number_activity set sends = array(select now() from generate_series(1, $2)) where phone_ref = $1"
    await sms.pool.execute(fill, PHONES.ref(number), TEST_SENDS_PER_WINDOW)
    error = await refusal(codes.issue(asking(number)))
    assert error.code is ErrorCode.DAILY_CAP
    assert (error.retry_after or 0) > 86_000


async def test_a_test_number_is_refused_after_its_last_day(sms: Sms) -> None:
    number = fresh_number()
    await sms.codes(test_numbers=with_test(number, TODAY)).issue(asking(number))
    codes = sms.codes(test_numbers=with_test(number, TODAY - timedelta(days=1)))
    assert (await refusal(codes.check(entering(number, CODE)))).code is ErrorCode.CODE_REFUSED
    assert (await refusal(codes.issue(asking(number)))).code is ErrorCode.NUMBER_REFUSED
    assert len(await sms.sends(number)) == 1


async def test_other_numbers_are_not_affected(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes(test_numbers=with_test(fresh_number()))
    issued = await codes.issue(asking(number))
    assert (await sms.sends(number))[0]["state"] == "queued"
    assert (await refusal(codes.issue(asking(number)))).code is ErrorCode.COOLDOWN
    if issued.code != CODE:
        assert (await refusal(codes.check(entering(number, CODE)))).code is ErrorCode.CODE_REFUSED


def test_each_test_number_is_logged_at_the_start_without_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    number = fresh_number()
    with_test(number, TODAY - timedelta(days=1)).log_configured(datetime.now(UTC))
    logged = capsys.readouterr().out
    assert "test_number.configured" in logged
    assert number not in logged
    assert CODE not in logged
