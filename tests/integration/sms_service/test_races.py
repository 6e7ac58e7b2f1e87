"""Many calls at once to two processes: what may happen five times, ten times or once happens no more often."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from support.patience import until_accepted
from support.sms import PHONES, TICKETS, Sms, asking, entering, fresh_database, fresh_number, process, refusal, wrong

from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import CodeChecked, CodeIssued, Purpose
from shared.phone import ref_hex
from sms_service.verification.limits import NumberState
from sms_service.verification.store import VerificationStore


@pytest.fixture(scope="module")
async def processes(postgres_url: str) -> AsyncIterator[tuple[Sms, Sms]]:
    async with (
        fresh_database(postgres_url) as database,
        process(postgres_url, database) as one,
        process(postgres_url, database) as two,
    ):
        yield one, two


async def outcomes(calls: list[Callable[[], Awaitable[Any]]]) -> tuple[list[Any], Counter[ErrorCode]]:
    """Make all calls at once: the results, and the refusals by code. Any other error fails the test.

    A call to a busy service is repeated, so that each call is decided and counted.
    """
    answers = await asyncio.gather(*map(until_accepted, calls), return_exceptions=True)
    refused = Counter(answer.code for answer in answers if isinstance(answer, ServiceError))
    results = [answer for answer in answers if not isinstance(answer, ServiceError)]
    for answer in results:
        if isinstance(answer, BaseException):
            raise answer
    return results, refused


def checks(right: str, count: int) -> list[str]:
    return [f"{(int(right) + 1 + step) % 10**6:06d}" for step in range(count)]


async def test_of_a_thousand_attempts_at_once_five_are_compared_and_the_code_is_unusable(
    processes: tuple[Sms, Sms],
) -> None:
    number = fresh_number()
    issued = await processes[0].codes().issue(asking(number))
    both = [sms.codes() for sms in processes]
    before = sum(sms.deriver.compared for sms in processes)

    results, refused = await outcomes(
        [partial(both[turn % 2].check, entering(number, check)) for turn, check in enumerate(checks(issued.code, 1000))]
    )

    assert results == []
    assert set(refused) == {ErrorCode.CODE_REFUSED}
    # Fewer if a response came too late: an attempt is counted before its code is compared.
    assert sum(sms.deriver.compared for sms in processes) - before <= 5
    tries = "select tries from verifications where verification_id = $1"
    assert await processes[0].pool.fetchval(tries, issued.verification_id) == 5
    assert (await refusal(both[1].check(entering(number, issued.code)))).code is ErrorCode.CODE_REFUSED


async def test_of_many_attempts_at_three_codes_of_a_number_ten_are_compared(processes: tuple[Sms, Sms]) -> None:
    number = fresh_number()
    both = [sms.codes() for sms in processes]
    purposes = (Purpose.SIGN_UP, Purpose.SIGN_IN, Purpose.RESET_PASSWORD)
    issued: list[CodeIssued] = []
    for purpose in purposes:
        issued.append(await both[0].issue(asking(number, purpose)))
        await processes[0].age(number, seconds=61)
    before = sum(sms.deriver.compared for sms in processes)

    results, _ = await outcomes(
        [
            partial(both[turn % 2].check, entering(number, wrong(issued[turn % 3].code), purposes[turn % 3]))
            for turn in range(150)
        ]
    )

    assert results == []
    assert sum(sms.deriver.compared for sms in processes) - before <= 10
    failures = "select cardinality(failures) from number_activity where phone_ref = $1"
    assert await processes[0].pool.fetchval(failures, PHONES.ref(number)) == 10


async def test_of_fifty_requests_at_once_for_one_number_one_is_sent(processes: tuple[Sms, Sms]) -> None:
    number = fresh_number()
    both = [sms.codes() for sms in processes]

    results, refused = await outcomes(
        [partial(both[turn % 2].issue, asking(number, list(Purpose)[turn % 4])) for turn in range(50)]
    )

    assert len(results) == 1
    assert refused == {ErrorCode.COOLDOWN: 49}
    assert len(await processes[0].sends(number)) == 1
    commands = "select count(*) from outbox where routing_key = 'sms.send' and body::text like '%' || $1 || '%'"
    message_id = (await processes[0].sends(number))[0]["message_id"]
    assert await processes[0].pool.fetchval(commands, str(message_id).encode().hex()) == 1


async def test_a_request_for_a_number_that_another_process_sent_to_is_refused_though_it_was_not_read(
    processes: tuple[Sms, Sms],
) -> None:
    number, stranger = fresh_number(), fresh_number()
    one, two = (sms.codes() for sms in processes)
    await two.issue(asking(stranger))  # which tells the process what time it is
    await one.issue(asking(number))

    assert (await refusal(two.issue(asking(number)))).code is ErrorCode.COOLDOWN
    assert len(await processes[0].sends(number)) == 1


async def test_only_the_first_number_of_a_process_is_read_and_those_that_it_sent_to(
    processes: tuple[Sms, Sms], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    state = VerificationStore.state

    async def counted(store: VerificationStore, phone_ref: int, purpose: Purpose) -> NumberState:
        read.append(phone_ref)
        return await state(store, phone_ref, purpose)

    monkeypatch.setattr(VerificationStore, "state", counted)
    codes, numbers = processes[0].codes(), [fresh_number() for _ in range(5)]
    for number in numbers:
        await codes.issue(asking(number))
    await refusal(codes.issue(asking(numbers[1])))

    assert read == [PHONES.ref(numbers[0]), PHONES.ref(numbers[1])]
    moments = "select cardinality(sends), abs(extract(epoch from now() - sends[1])) < 60 from number_activity where phone_ref = any ($1)"
    rows = await processes[0].pool.fetch(moments, [PHONES.ref(number) for number in numbers])
    assert [tuple(row) for row in rows] == [(1, True)] * 5


async def test_of_many_requests_at_once_for_some_numbers_each_number_gets_one_message(
    processes: tuple[Sms, Sms],
) -> None:
    numbers = [fresh_number() for _ in range(30)]
    both = [sms.codes() for sms in processes]

    results, refused = await outcomes(
        [
            partial(both[turn % 2].issue, asking(number))
            for turn in range(6)
            for number in (numbers, numbers[::-1])[turn % 2]
        ]
    )

    assert len(results) == len(numbers)
    assert refused == {ErrorCode.COOLDOWN: 5 * len(numbers)}
    sends = [await processes[0].sends(number) for number in numbers]
    assert [len(made) for made in sends] == [1] * len(numbers)
    assert {answer.verification_id for answer in results} == {made[0]["verification_id"] for made in sends}
    stamps = "select cardinality(sends) from number_activity where phone_ref = any ($1)"
    refs = [PHONES.ref(number) for number in numbers]
    assert set(await processes[0].pool.fetch(stamps, refs)) == {(1,)}
    requested = """
        select count(*) from outbox where routing_key = 'sms.verification.requested.v1'
            and convert_from(body, 'UTF8') like any ($1)
    """
    assert await processes[0].pool.fetchval(requested, [f"%{ref_hex(ref)}%" for ref in refs]) == len(numbers)
    astray = """
        select count(*) from outbox o where o.routing_key = 'sms.send' and not exists (
            select from messages s where position(convert_to(s.message_id::text, 'UTF8') in o.body) > 0
        )
    """
    assert await processes[0].pool.fetchval(astray) == 0


async def test_of_correct_and_incorrect_codes_at_once_each_gets_its_own_result(processes: tuple[Sms, Sms]) -> None:
    numbers = [fresh_number() for _ in range(40)]
    codes = processes[0].codes()
    issued = [await codes.issue(asking(number)) for number in numbers]

    answers = await asyncio.gather(
        *(
            until_accepted(partial(codes.check, entering(number, wrong(made.code) if place % 2 else made.code)))
            for place, (number, made) in enumerate(zip(numbers, issued, strict=True))
        ),
        return_exceptions=True,
    )

    assert [isinstance(answer, ServiceError) for answer in answers] == [bool(place % 2) for place in range(40)]
    for number, made, answer in list(zip(numbers, issued, answers, strict=True))[::2]:
        assert isinstance(answer, CodeChecked)
        ticket = TICKETS.open(answer.ticket, Purpose.SIGN_UP, now=datetime.now(UTC))
        assert (ticket.number, ticket.verification_id) == (number, made.verification_id)
    state = "select verification_id, verified_at is not null, tries from verifications where phone_ref = any ($1)"
    rows = await processes[0].pool.fetch(state, [PHONES.ref(number) for number in numbers])
    assert {tuple(row) for row in rows} == {
        (made.verification_id, not place % 2, place % 2) for place, made in enumerate(issued)
    }


async def test_a_number_keeps_no_send_older_than_a_day(processes: tuple[Sms, Sms]) -> None:
    number, sms = fresh_number(), processes[0]
    for hours in (25, 2, 1):
        await sms.codes().issue(asking(number))
        await sms.age(number, hours=hours)
    await sms.codes().issue(asking(number))
    assert await sms.pool.fetchval(
        "select array_agg(round(extract(epoch from now() - at) / 3600)::int) from number_activity, unnest(sends) as at where phone_ref = $1",
        PHONES.ref(number),
    ) == [3, 1, 0]


async def test_correct_codes_at_once_give_one_ticket_and_one_event(processes: tuple[Sms, Sms]) -> None:
    number = fresh_number()
    both = [sms.codes() for sms in processes]
    issued = await both[0].issue(asking(number))

    results, refused = await outcomes(
        [partial(both[turn % 2].check, entering(number, issued.code)) for turn in range(30)]
    )

    assert len({checked.ticket for checked in results}) == 1
    assert set(refused) <= {ErrorCode.CODE_REFUSED}
    events = await processes[0].events(str(issued.verification_id))
    assert [event["type"] for event in events].count("sms.verification.succeeded.v1") == 1
    row = await processes[0].pool.fetchrow(
        "select failures, tries from number_activity join verifications using (phone_ref) where phone_ref = $1",
        PHONES.ref(number),
    )
    assert tuple(row) == ([], 0)


async def test_attempts_and_requests_at_once_do_not_block_each_other(processes: tuple[Sms, Sms]) -> None:
    number = fresh_number()
    both = [sms.codes() for sms in processes]
    issued = await both[0].issue(asking(number))
    await processes[0].age(number, seconds=61)

    calls: list[Callable[[], Awaitable[Any]]] = []
    for turn, check in enumerate(checks(issued.code, 40)):
        calls += [
            partial(both[turn % 2].check, entering(number, check)),
            partial(both[turn % 2].issue, asking(number)),
        ]
    results, refused = await outcomes(calls)

    assert len(results) == 1
    assert set(refused) == {ErrorCode.CODE_REFUSED, ErrorCode.COOLDOWN}


async def test_a_locked_row_fails_its_own_number_and_no_other(
    postgres_url: str, processes: tuple[Sms, Sms], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres.SERVER_SETTINGS, "lock_timeout", "200")
    numbers = [fresh_number() for _ in range(5)]
    async with (
        process(postgres_url, processes[0].database) as sms,
        postgres.transaction(processes[0].pool, 10) as locking,
    ):
        codes = sms.codes()
        issued = [await codes.issue(asking(number)) for number in numbers]
        await locking.execute("select from number_activity where phone_ref = $1 for update", PHONES.ref(numbers[2]))
        answers = await asyncio.gather(
            *(codes.check(entering(number, wrong(code.code))) for number, code in zip(numbers, issued, strict=True)),
            return_exceptions=True,
        )
    refusals = [answer.code for answer in answers if isinstance(answer, ServiceError)]
    assert refusals == [ErrorCode.CODE_REFUSED] * 2 + [ErrorCode.UNAVAILABLE] + [ErrorCode.CODE_REFUSED] * 2
