"""What ``after-restore`` does to the tables of sms-service: no code of before works, and no message of before is sent."""

import os
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import AsyncIterator

import pytest
from support.sms import Recorder, Sms, asking, entering, fresh_number, refusal, running

from shared.errors import ErrorCode
from sms_service.recovery import store as recovery_store
from sms_service.recovery.store import RecoveryStore


@pytest.fixture
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    """A database of the test's own, because the command concerns every number in it."""
    async with running(postgres_url) as sms:
        yield sms


async def test_a_pending_code_and_a_used_one_open_nothing_and_the_number_gets_a_new_one(sms: Sms) -> None:
    codes, pending, used = sms.codes(), fresh_number(), fresh_number()
    issued = {number: await codes.issue(asking(number)) for number in (pending, used)}
    await codes.check(entering(used, issued[used].code, with_secret=True))

    assert await RecoveryStore(sms.pool).end_codes() == 2

    for number, before in issued.items():
        error = await refusal(codes.check(entering(number, before.code, with_secret=True)))
        assert error.code is ErrorCode.CODE_REFUSED
    await sms.age(pending, minutes=2)
    again = await codes.issue(asking(pending))
    assert again.verification_id != issued[pending].verification_id
    assert (await codes.check(entering(pending, again.code))).ticket


async def test_what_can_open_nothing_any_more_stays(sms: Sms) -> None:
    codes, number = sms.codes(), fresh_number()
    await codes.issue(asking(number))
    await sms.age(number, minutes=6)

    assert await RecoveryStore(sms.pool).end_codes() == 0


async def test_a_message_that_waits_is_not_sent_and_ends_with_an_event(sms: Sms) -> None:
    number, sender = fresh_number(), Recorder()
    await sms.codes().issue(asking(number))
    ((message_id, state),) = [(row["message_id"], row["state"]) for row in await sms.sends(number)]
    assert state == "queued"

    assert await RecoveryStore(sms.pool).expire_messages() == 1
    await sms.delivery(sender).deliver(message_id)

    assert sender.messages == []
    assert [row["state"] for row in await sms.sends(number)] == ["expired"]
    assert [event["type"] for event in await sms.events(str(message_id))] == ["sms.message.expired.v1"]


async def test_it_goes_on_until_no_batch_is_left(sms: Sms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_store, "BATCH", 2)
    for _ in range(5):
        await sms.codes().issue(asking(fresh_number()))

    recovery = RecoveryStore(sms.pool)

    assert (await recovery.end_codes(), await recovery.expire_messages()) == (5, 5)
    assert (await recovery.end_codes(), await recovery.expire_messages()) == (0, 0)


async def test_the_command_does_both_and_says_how_many(sms: Sms, postgres_url: str) -> None:
    await sms.codes().issue(asking(fresh_number()))
    environ = {"ENVIRONMENT": "development", "POSTGRES_URL": postgres_url, "SMS_DATABASE": sms.database}

    process = await create_subprocess_exec(
        sys.executable, "-m", "sms_service", "after-restore", env=os.environ | environ, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate()

    assert (process.returncode, output.decode()) == (0, "ended 1 codes, and 1 messages that waited\n")
