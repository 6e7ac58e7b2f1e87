"""The life of a code on a real PostgreSQL: when it is sent, when it can be sent again, and what it proves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from support.sms import (
    PHONES,
    TICKETS,
    CountingDeriver,
    Sms,
    asking,
    entering,
    fresh_number,
    looking_up,
    refusal,
    running,
    wrong,
)

from shared.errors import ErrorCode
from shared.internal_api.sms import CodeIssued, Purpose
from shared.keys import KeyRing
from shared.phone import E164, ref_hex


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


async def exhaust(sms: Sms, number: E164, issued: CodeIssued, purpose: Purpose = Purpose.SIGN_UP) -> None:
    for _ in range(5):
        await refusal(sms.codes().check(entering(number, wrong(issued.code), purpose)))


async def test_a_correct_code_gives_a_ticket_for_its_number_and_purpose(sms: Sms) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    assert (issued.expires_in, issued.resend_after) == (300, 60)

    checked = await sms.codes().check(entering(number, issued.code))

    ticket = TICKETS.open(checked.ticket, Purpose.SIGN_UP, now=datetime.now(UTC))
    assert (ticket.verification_id, ticket.number) == (issued.verification_id, number)
    assert 590 <= checked.expires_in <= 600


async def test_a_code_whose_key_was_removed_too_early_is_refused_like_one_that_cannot_be_used(sms: Sms) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    later = replace(sms, deriver=CountingDeriver(KeyRing.parse(f"9:{'5c' * 32}")))

    by_number = await refusal(later.codes().check(entering(number, issued.code)))
    by_id = await refusal(later.codes().check(entering(None, issued.code, verification_id=issued.verification_id)))

    assert {by_number.code, by_id.code} == {ErrorCode.CODE_REFUSED}
    assert (await sms.codes().check(entering(number, issued.code))).ticket


async def test_the_correct_code_gives_the_same_ticket_again_for_ten_minutes_in_calls_with_a_secret(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    issued = await codes.issue(asking(number))
    entered = entering(number, issued.code, with_secret=True)
    first = await codes.check(entered)
    again = [await codes.check(entered) for _ in range(7)]
    assert {checked.ticket for checked in again} == {first.ticket}

    await sms.age(number, minutes=6)  # past the code's five minutes, within the ticket's ten
    later = await codes.check(entered)
    assert later.expires_in <= 240

    await sms.age(number, minutes=5)
    assert (await refusal(codes.check(entered))).code is ErrorCode.CODE_REFUSED


async def test_correct_codes_use_up_no_attempt_and_are_published_once(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    issued = await codes.issue(asking(number))
    await refusal(codes.check(entering(number, wrong(issued.code))))
    for _ in range(6):
        await codes.check(entering(number, issued.code))

    row = await sms.pool.fetchrow("select * from number_activity where phone_ref = $1", PHONES.ref(number))
    assert len(row["failures"]) == 1
    types = [event["type"] for event in await sms.events(ref_hex(PHONES.ref(number)))]
    assert types == ["sms.verification.requested.v1", "sms.verification.failed.v1", "sms.verification.succeeded.v1"]


async def test_an_incorrect_code_is_published_with_the_attempts_left(sms: Sms) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    await exhaust(sms, number, issued)

    failed = [
        event["data"]["tries_left"]
        for event in await sms.events(str(issued.verification_id))
        if event["type"] == "sms.verification.failed.v1"
    ]
    assert failed == [4, 3, 2, 1, 0]


async def test_the_holder_of_a_challenge_is_told_the_tries_left(sms: Sms) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))

    async def tries_left(code: str) -> int | None:
        return (
            await refusal(sms.codes().check(entering(None, code, verification_id=issued.verification_id)))
        ).tries_left

    assert await tries_left("12345") is None
    assert [await tries_left(wrong(issued.code)) for _ in range(6)] == [4, 3, 2, 1, 0, 0]
    assert await tries_left(issued.code) == 0


@pytest.mark.parametrize("end", ["expired", "replaced", "unknown", "of another purpose"])
async def test_the_holder_of_a_challenge_is_told_that_no_code_passes(sms: Sms, end: str) -> None:
    number, purpose = fresh_number(), Purpose.SIGN_UP
    issued = await sms.codes().issue(asking(number))
    verification_id = uuid4() if end == "unknown" else issued.verification_id
    if end in {"expired", "replaced"}:
        await sms.age(number, seconds=301)
    if end == "replaced":
        await sms.codes().issue(asking(number))
    if end == "of another purpose":
        purpose = Purpose.SIGN_IN

    refused = await refusal(sms.codes().check(entering(None, issued.code, purpose, verification_id=verification_id)))

    assert (refused.code, refused.tries_left) == (ErrorCode.CODE_REFUSED, 0)


async def test_a_check_by_number_is_told_nothing_but_the_refusal(sms: Sms) -> None:
    """With or without a code, alive or dead, and with the id of its verification: the refusal is the same."""
    alive, dead, without = fresh_number(), fresh_number(), fresh_number()
    issued = [await sms.codes().issue(asking(number)) for number in (alive, dead)]
    await exhaust(sms, dead, issued[1])

    refusals = [await refusal(sms.codes().check(entering(number, "000000"))) for number in (alive, dead, without)]
    with_id = entering(alive, wrong(issued[0].code), verification_id=issued[0].verification_id)
    refusals.append(await refusal(sms.codes().check(with_id)))

    assert {(each.code, each.tries_left, each.field, each.retry_after) for each in refusals} == {
        (ErrorCode.CODE_REFUSED, None, None, None)
    }


async def test_a_code_is_unusable_after_five_incorrect_ones(sms: Sms) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    await exhaust(sms, number, issued)

    assert (await refusal(sms.codes().check(entering(number, issued.code)))).code is ErrorCode.CODE_REFUSED


async def test_a_new_code_is_made_when_the_attempts_are_used_up(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    used_up = await codes.issue(asking(number))
    await exhaust(sms, number, used_up)
    await sms.age(number, seconds=61)

    fresh = await codes.issue(asking(number))

    assert fresh.verification_id != used_up.verification_id
    assert fresh.expires_in == 300
    if used_up.code != fresh.code:
        assert await refusal(codes.check(entering(number, used_up.code)))
    assert await codes.check(entering(number, fresh.code))


async def test_a_resend_sends_the_same_code_and_resets_neither_its_time_nor_its_attempts(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    first = await codes.issue(asking(number))
    for _ in range(3):
        await refusal(codes.check(entering(number, wrong(first.code))))
    await sms.age(number, seconds=61)

    second = await codes.issue(asking(number, dialect="tel", daily_cap=3))

    assert (second.verification_id, second.code) == (first.verification_id, first.code)
    assert 230 <= second.expires_in <= 239
    for _ in range(2):
        await refusal(codes.check(entering(number, wrong(first.code))))
    assert await refusal(codes.check(entering(number, first.code)))
    assert len(await sms.sends(number)) == 2


@pytest.mark.parametrize("end", ["expired", "verified"])
async def test_a_new_code_replaces_one_that_is(sms: Sms, end: str) -> None:
    number = fresh_number()
    codes = sms.codes()
    old = await codes.issue(asking(number))
    if end == "verified":
        await codes.check(entering(number, old.code))
    await sms.age(number, seconds=61 if end == "verified" else 301)

    new = await codes.issue(asking(number))

    assert new.verification_id != old.verification_id
    by_id = entering(None, old.code, verification_id=old.verification_id)
    assert (await refusal(codes.check(by_id))).code is ErrorCode.CODE_REFUSED
    assert await codes.check(entering(number, new.code))


async def test_a_code_expires_after_five_minutes(sms: Sms) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    await sms.age(number, seconds=300)

    assert (await refusal(sms.codes().check(entering(number, issued.code)))).code is ErrorCode.CODE_REFUSED


async def test_a_code_works_for_no_other_number_and_no_other_purpose(sms: Sms) -> None:
    number, other = fresh_number(), fresh_number()
    codes = sms.codes()
    issued = await codes.issue(asking(number))
    theirs = await codes.issue(asking(other))
    reset = await codes.issue(asking(fresh_number(), Purpose.RESET_PASSWORD))
    assert len({issued.code, theirs.code, reset.code}) > 1

    assert await refusal(codes.check(entering(number, issued.code, Purpose.RESET_PASSWORD)))
    if theirs.code != issued.code:
        assert await refusal(codes.check(entering(other, issued.code)))
    assert await refusal(codes.check(entering(other, issued.code, verification_id=issued.verification_id)))
    assert await codes.check(entering(number, issued.code, dialect="tel"))


async def test_a_code_can_be_checked_by_its_verification_alone(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    issued = await codes.issue(asking(number, dialect="native"))

    for purpose in set(Purpose) - {Purpose.SIGN_UP}:
        assert await refusal(codes.check(entering(None, issued.code, purpose, verification_id=issued.verification_id)))
    by_id = await codes.check(entering(None, issued.code, verification_id=issued.verification_id))
    by_number = await codes.check(entering(number, issued.code))

    assert by_id.ticket == by_number.ticket


async def test_a_check_without_a_number_and_a_verification_is_a_missing_parameter(sms: Sms) -> None:
    error = await refusal(sms.codes().check(entering(None, "123456")))
    assert (error.code, error.field) == (ErrorCode.PARAMETER_MISSING, "phone")


async def test_an_unknown_number_or_verification_is_refused_like_an_incorrect_code(sms: Sms) -> None:
    codes = sms.codes()
    assert (await refusal(codes.check(entering(fresh_number(), "123456")))).code is ErrorCode.CODE_REFUSED
    assert (
        await refusal(codes.check(entering(None, "123456", verification_id=uuid4())))
    ).code is ErrorCode.CODE_REFUSED


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "12345a", " 12345", "+123456", "一二三四五六", "½12345", "1" * 32]
)
async def test_a_malformed_code_is_refused_and_uses_up_no_attempt(sms: Sms, code: str) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    events = await sms.pool.fetchval("select count(*) from verification_events")

    for _ in range(6):
        refused = await refusal(sms.codes().check(entering(number, code)))
        assert refused.code is ErrorCode.CODE_REFUSED

    tries = await sms.pool.fetchval("select tries from verifications where phone_ref = $1", PHONES.ref(number))
    assert tries == 0
    assert await sms.pool.fetchval("select count(*) from verification_events") == events
    assert (await sms.codes().check(entering(number, issued.code))).ticket


@pytest.mark.parametrize("spelling", ["{0} {1}", "{0}-{1}\n", "\u200e{0}\u2009{1}\ufeff", "({0}){1}", " {0}{1} "])
async def test_the_correct_code_is_accepted_in_any_spelling(sms: Sms, spelling: str) -> None:
    number = fresh_number()
    code = (await sms.codes().issue(asking(number))).code
    spelled = spelling.format(code[:3], code[3:])
    fullwidth = code.translate({ord(digit): ord(digit) - ord("0") + ord("０") for digit in "0123456789"})

    ticket = (await sms.codes().check(entering(number, spelled))).ticket

    assert (await sms.codes().check(entering(number, fullwidth))).ticket == ticket


async def test_ten_incorrect_codes_lock_a_number_with_an_account_for_every_purpose_for_a_day(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    for purpose in (Purpose.CHANGE_PHONE, Purpose.RESET_PASSWORD):
        await exhaust(sms, number, await codes.issue(asking(number, purpose, registered=True)), purpose)
        await sms.age(number, seconds=61)
    third = await codes.issue(asking(number, Purpose.SIGN_IN, registered=True))
    assert await refusal(codes.check(entering(number, third.code, Purpose.SIGN_IN)))
    tries = "select tries from verifications where verification_id = $1"
    assert await sms.pool.fetchval(tries, third.verification_id) == 0

    await sms.age(number, hours=23, minutes=50)
    later = await codes.issue(asking(number, Purpose.SIGN_IN, registered=True))
    assert await refusal(codes.check(entering(number, later.code, Purpose.SIGN_IN)))

    await sms.age(number, minutes=11)
    freed = await codes.issue(asking(number, Purpose.SIGN_IN, registered=True))
    assert await codes.check(entering(number, freed.code, Purpose.SIGN_IN))


async def test_attempts_at_an_unusable_code_do_not_lock_the_number(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    issued = await codes.issue(asking(number))
    await exhaust(sms, number, issued)
    await exhaust(sms, number, issued)
    await sms.age(number, seconds=61)

    fresh = await codes.issue(asking(number))
    assert await codes.check(entering(number, fresh.code))


async def test_each_dialect_has_its_own_cooldown_since_the_last_send(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    await codes.issue(asking(number, dialect="phone_info", cooldown=120))

    error = await refusal(codes.issue(asking(number, Purpose.RESET_PASSWORD)))
    assert (error.code, error.retry_after) == (ErrorCode.COOLDOWN, 60)
    await sms.age(number, seconds=59)
    error = await refusal(codes.issue(asking(number)))
    assert (error.code, error.retry_after) == (ErrorCode.COOLDOWN, 1)
    await sms.age(number, seconds=1)
    error = await refusal(codes.issue(asking(number, dialect="phone_info", cooldown=120)))
    assert (error.code, error.retry_after) == (ErrorCode.COOLDOWN, 60)
    assert await codes.issue(asking(number))


async def test_a_number_gets_at_most_ten_sends_in_a_rolling_day(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    for _ in range(10):
        await codes.issue(asking(number))
        await sms.age(number, minutes=10)

    error = await refusal(codes.issue(asking(number)))
    assert error.code is ErrorCode.DAILY_CAP
    assert 24 * 3600 - 6000 - 5 <= (error.retry_after or 0) <= 24 * 3600 - 6000
    await sms.age(number, seconds=24 * 3600 - 6000 - 8)
    error = await refusal(codes.issue(asking(number)))
    assert 1 <= (error.retry_after or 0) <= 8
    await sms.age(number, seconds=8)
    assert await codes.issue(asking(number))
    await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(asking(number)))).code is ErrorCode.DAILY_CAP


async def test_a_dialect_with_a_lower_cap_counts_what_it_asked_for_itself(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    for dialect in ("maitian", "tel", "native", "tel", "tel"):
        await codes.issue(asking(number, dialect=dialect, daily_cap=3 if dialect == "tel" else 10))
        await sms.age(number, seconds=61)

    assert (await refusal(codes.issue(asking(number, dialect="tel", daily_cap=3)))).code is ErrorCode.DAILY_CAP
    assert await codes.issue(asking(number))


async def test_a_refusal_by_the_gateway_comes_before_the_limits_of_the_number(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    await codes.issue(asking(number))

    for code in (ErrorCode.NUMBER_TAKEN, ErrorCode.NO_ACCOUNT):
        assert (await refusal(codes.issue(asking(number, refuse=code)))).code is code
        assert (await refusal(codes.status(looking_up(number, refuse=code)))).code is code
    assert len(await sms.sends(number)) == 1


async def test_refusals_are_published_with_their_limiter(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    await refusal(codes.issue(asking(number, refuse=ErrorCode.NUMBER_TAKEN)))
    await codes.issue(asking(number))
    await refusal(codes.issue(asking(number)))
    await sms.age(number, seconds=61)
    await refusal(codes.issue(asking(number, daily_cap=1)))

    refusals = [
        event["data"]
        for event in await sms.events(ref_hex(PHONES.ref(number)))
        if event["type"] == "sms.verification.refused.v1"
    ]
    assert [event["limiter"] for event in refusals] == ["number_taken", "cooldown", "daily_cap"]
    assert [event["retry_after"] > 0 for event in refusals] == [False, True, True]
    assert not any("verification_id" in event for event in refusals)


async def test_the_status_is_refused_within_the_cooldown(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes()
    assert await codes.status(looking_up(number))
    await codes.issue(asking(number))
    error = await refusal(codes.status(looking_up(number)))
    assert (error.code, error.retry_after) == (ErrorCode.COOLDOWN, 60)
    await sms.age(number, seconds=60)
    assert await codes.status(looking_up(number))


async def test_codes_are_revealed_only_if_the_switch_is_on(sms: Sms) -> None:
    assert (await sms.codes(reveal_codes=False).issue(asking(fresh_number()))).code == ""


async def test_the_master_code_is_correct_in_calls_that_allow_it_for_numbers_with_a_code(sms: Sms) -> None:
    number = fresh_number()
    codes = sms.codes(master_code="909")
    by_master = entering(number, "909", allow_master_code=True)
    assert (await refusal(codes.check(by_master))).code is ErrorCode.CODE_REFUSED
    issued = await codes.issue(asking(number))

    assert (await refusal(codes.check(entering(number, "909")))).code is ErrorCode.CODE_REFUSED
    assert (await refusal(sms.codes().check(by_master))).code is ErrorCode.CODE_REFUSED
    spelled = entering(number, "９0 9", allow_master_code=True)
    padded = entering(number, "000909", allow_master_code=True)
    tickets = [
        (await codes.check(check)).ticket for check in (by_master, spelled, padded, entering(number, issued.code))
    ]
    assert len(set(tickets)) == 1


async def test_no_table_holds_a_code_or_a_clear_number(sms: Sms) -> None:
    number = fresh_number()
    issued = await sms.codes().issue(asking(number))
    await refusal(sms.codes().check(entering(number, wrong(issued.code))))
    await sms.codes().check(entering(number, issued.code))
    await refusal(sms.codes().issue(asking(number)))

    await refusal(sms.codes().check(entering(number, issued.code, Purpose.SIGN_IN)))

    for table in ("number_activity", "verifications", "messages", "verification_events", "outbox"):
        assert await sms.pool.fetchval(f"select count(*) from {table}")
        for row in await sms.pool.fetch(f"select * from {table}"):
            values = [v if isinstance(v, bytes) else str(v).encode() for v in row.values() if not isinstance(v, int)]
            text = b" ".join(values)
            assert number[3:].encode() not in text
            # Ids, keys under secrets and fractions of a second are digits too: the code must not stand alone.
            words = text.replace(b'"', b" ").replace(b",", b" ").replace(b":", b" ").split()
            assert issued.code.encode() not in words
