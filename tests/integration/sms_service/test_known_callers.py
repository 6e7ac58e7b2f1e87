"""Known callers and strangers on a real PostgreSQL: neither tries nor sends of one lane are used up in the other."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest
from support.patience import until_accepted
from support.sms import (
    NETWORKS,
    PHONES,
    TICKETS,
    CodeCalls,
    OnlySourceNetworks,
    Sms,
    asking,
    entering,
    fresh_database,
    fresh_number,
    process,
    refusal,
    wrong,
)

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import CheckCode, CodeIssued, IssueCode, Purpose
from shared.networks import RequestSource
from shared.phone import E164
from shared.tickets import MAX_REPEATS
from sms_service.callers.failure_budget import FailureBudget
from sms_service.callers.rate_limits import NoCallerLimits

RESET = Purpose.RESET_PASSWORD
HOME = "203.0.113.7"
"""The address of the owner, whose network is known to the number."""


@pytest.fixture(scope="module")
async def processes(postgres_url: str) -> AsyncIterator[tuple[Sms, Sms]]:
    async with (
        fresh_database(postgres_url) as database,
        process(postgres_url, database) as one,
        process(postgres_url, database) as two,
    ):
        yield one, two


@pytest.fixture
def sms(processes: tuple[Sms, Sms]) -> Sms:
    return processes[0]


@pytest.fixture
def codes(sms: Sms) -> CodeCalls:
    return sms.codes(OnlySourceNetworks())


def somewhere() -> str:
    """An address in a network that no other test uses."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"


def owned(number: E164, address: str = HOME, **more: Any) -> IssueCode:
    """A request for a reset code, for a number with an account whose owner is at ``HOME``."""
    known = [NETWORKS.ref(RequestSource(ip_address(HOME)))]
    return asking(number, RESET, **{"registered": True, "known_networks": known, "address": address} | more)


async def enter_wrong(codes: CodeCalls, number: E164, code: str, address: str, purpose: Purpose = RESET) -> None:
    check = entering(number, wrong(code), purpose, address=address)
    assert (await refusal(codes.check(check))).code is ErrorCode.CODE_REFUSED


async def shut_strangers_out(sms: Sms, codes: CodeCalls, number: E164) -> CodeIssued:
    """Strangers ask for two codes and use up their tries for a day. Returns the code that is live then."""
    issued = await codes.issue(owned(number, somewhere()))
    for _ in range(5):
        await enter_wrong(codes, number, issued.code, somewhere())
    await sms.age(number, minutes=6)
    issued = await codes.issue(owned(number, somewhere()))
    for _ in range(5):
        await enter_wrong(codes, number, issued.code, somewhere())
    return issued


async def test_strangers_can_shut_out_strangers_and_not_the_owner_who_holds_the_code(
    sms: Sms, codes: CodeCalls
) -> None:
    number = fresh_number()
    issued = await shut_strangers_out(sms, codes, number)

    before = sms.deriver.compared
    assert await refusal(codes.check(entering(number, issued.code, RESET, address=somewhere())))
    assert sms.deriver.compared == before
    assert await codes.check(entering(number, issued.code, RESET, address=HOME))


@pytest.mark.parametrize("by", ["number", "verification"])
async def test_a_caller_with_a_living_session_of_the_number_is_known_from_anywhere(
    sms: Sms, codes: CodeCalls, by: str
) -> None:
    number = fresh_number()
    issued = await shut_strangers_out(sms, codes, number)
    subject: dict[str, Any] = {} if by == "number" else {"verification_id": issued.verification_id}
    phone = number if by == "number" else None

    of_another = entering(phone, issued.code, RESET, address=somewhere(), session_phone=fresh_number(), **subject)
    assert await refusal(codes.check(of_another))
    assert await codes.check(entering(phone, issued.code, RESET, address=somewhere(), session_phone=number, **subject))


def by_session(number: E164, code: str) -> CheckCode:
    """A check by someone with a living session, in a network that is not known to the number."""
    return entering(number, code, RESET, address=somewhere(), session_phone=number)


async def test_a_stolen_session_uses_up_neither_the_tries_nor_the_live_code_of_the_owner_at_home(
    sms: Sms, codes: CodeCalls
) -> None:
    number = fresh_number()
    issued = await codes.issue(owned(number))
    before = sms.deriver.compared
    for _ in range(20):
        assert await refusal(codes.check(by_session(number, wrong(issued.code))))

    assert sms.deriver.compared - before == 10, "five of the session, five of strangers at this code"
    for _ in range(4):
        await enter_wrong(codes, number, issued.code, HOME)
    assert await codes.check(entering(number, issued.code, RESET, address=HOME))


async def test_a_caller_with_a_session_has_the_tries_of_a_stranger_after_those_of_sessions(
    sms: Sms, codes: CodeCalls
) -> None:
    number = fresh_number()
    issued = await codes.issue(owned(number))
    for _ in range(5):
        assert await refusal(codes.check(by_session(number, wrong(issued.code))))
    first = await refusal(
        codes.check(
            entering(
                None,
                wrong(issued.code),
                RESET,
                verification_id=issued.verification_id,
                address=somewhere(),
                session_phone=number,
            )
        )
    )

    assert (first.tries_left, first.is_limited) == (4, False)
    assert await codes.check(by_session(number, issued.code))
    row = await sms.pool.fetchrow(
        "select tries, known_tries, failure_networks from verifications join number_activity using (phone_ref) "
        "where phone_ref = $1",
        PHONES.ref(number),
    )
    assert (row["tries"], row["known_tries"]) == (1, 0), "the correct one is taken back in its own lane"
    assert row["failure_networks"].count("session") == 5


async def test_tries_at_once_with_a_session_count_exactly_in_their_lanes(processes: tuple[Sms, Sms]) -> None:
    number, both = fresh_number(), [sms.codes(OnlySourceNetworks()) for sms in processes]
    issued = await both[0].issue(owned(number))
    checks = [partial(both[turn % 2].check, by_session(number, wrong(issued.code))) for turn in range(60)]
    await asyncio.gather(*map(until_accepted, checks), return_exceptions=True)

    networks = await processes[0].pool.fetchval(
        "select failure_networks from number_activity where phone_ref = $1", PHONES.ref(number)
    )
    assert Counter(network == "session" for network in networks) == {True: 5, False: 5}


async def test_a_stolen_session_leaves_the_owner_at_home_a_code_even_with_the_help_of_strangers(
    sms: Sms, codes: CodeCalls
) -> None:
    number, sent = fresh_number(), 0
    for _ in range(12):
        try:
            await codes.issue(owned(number, somewhere(), session_phone=number))
        except ServiceError as error:
            assert error.code is ErrorCode.DAILY_CAP
        else:
            sent += 1
            await sms.age(number, seconds=61)

    assert sent == 8, "two of sessions, six of strangers"
    issued = await codes.issue(owned(number))
    assert await codes.check(entering(number, issued.code, RESET, address=HOME))


async def test_the_owner_has_five_tries_at_a_code_and_ten_a_day(sms: Sms, codes: CodeCalls) -> None:
    number = fresh_number()
    for _ in range(2):
        issued = await codes.issue(owned(number))
        for _ in range(5):
            await enter_wrong(codes, number, issued.code, HOME)
        assert await refusal(codes.check(entering(number, issued.code, RESET, address=HOME)))
        await sms.age(number, seconds=61)
    issued = await codes.issue(owned(number))

    assert await refusal(codes.check(entering(number, issued.code, RESET, address=HOME)))
    assert await codes.check(entering(number, issued.code, RESET, address=somewhere())), "strangers have their own"


async def test_the_owner_of_a_new_account_waits_out_the_cooldown_of_what_strangers_were_sent_before_it(
    sms: Sms, codes: CodeCalls
) -> None:
    number = fresh_number()
    for _ in range(9):
        await codes.issue(asking(number, Purpose.SIGN_UP, address=somewhere()))
        await sms.age(number, seconds=61)
    await codes.issue(asking(number, Purpose.SIGN_UP, address=somewhere()))

    assert (await refusal(codes.issue(owned(number)))).code is ErrorCode.COOLDOWN


@pytest.mark.parametrize("limited", [True, False], ids=["networks are counted", "CALLER_LIMITS=off"])
async def test_a_contract_with_a_cap_of_three_refuses_the_fourth_code_of_a_caller_who_registered_meanwhile(
    sms: Sms, *, limited: bool
) -> None:
    number, codes = fresh_number(), sms.codes(OnlySourceNetworks() if limited else NoCallerLimits())
    tel: dict[str, Any] = {"dialect": "tel", "daily_cap": 3}
    await codes.issue(asking(number, Purpose.SIGN_UP, address=HOME, **tel))
    for _ in range(2):
        await sms.age(number, seconds=61)
        await codes.issue(owned(number, **tel))
    await sms.age(number, seconds=61)

    assert (await refusal(codes.issue(owned(number, **tel)))).code is ErrorCode.DAILY_CAP
    assert await codes.issue(owned(number)), "another contract has no such cap"


async def test_what_strangers_asked_for_in_a_contract_with_a_cap_leaves_the_owner_all_of_it(
    sms: Sms, codes: CodeCalls
) -> None:
    number = fresh_number()
    tel: dict[str, Any] = {"dialect": "tel", "daily_cap": 3}
    for _ in range(3):
        await codes.issue(owned(number, somewhere(), **tel))
        await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(owned(number, somewhere(), **tel)))).code is ErrorCode.DAILY_CAP

    for _ in range(3):
        await codes.issue(owned(number, **tel))
        await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(owned(number, **tel)))).code is ErrorCode.DAILY_CAP


async def test_the_owner_does_not_count_on_a_network_that_strangers_have_used_up(sms: Sms) -> None:
    codes, number = sms.codes(OnlySourceNetworks(), failure_budget=FailureBudget(5)), fresh_number()
    home = somewhere()
    known = [NETWORKS.ref(RequestSource(ip_address(home)))]
    issued = await codes.issue(owned(number, home, known_networks=known))
    other = fresh_number()
    other_code = (await codes.issue(owned(other, home, known_networks=[]))).code
    for _ in range(5):
        await enter_wrong(codes, other, other_code, home)

    assert await refusal(codes.check(entering(other, other_code, RESET, address=home)))
    assert await codes.check(entering(number, issued.code, RESET, address=home))


async def test_a_stranger_who_asks_again_does_not_replace_the_code_that_the_owner_holds(
    sms: Sms, codes: CodeCalls
) -> None:
    number = fresh_number()
    first = await codes.issue(owned(number))
    for _ in range(5):
        await enter_wrong(codes, number, first.code, somewhere())
    await sms.age(number, seconds=61)
    again = await codes.issue(owned(number, somewhere()))

    assert again.verification_id == first.verification_id
    assert await codes.check(entering(number, first.code, RESET, address=HOME))


async def test_of_six_sends_strangers_use_two_from_one_network_and_the_owner_has_four_more(
    sms: Sms, codes: CodeCalls
) -> None:
    number, stranger = fresh_number(), somewhere()
    for address in (stranger, stranger, *(somewhere() for _ in range(4))):
        if address == stranger:
            await codes.issue(owned(number, address))
        else:
            assert (await refusal(codes.issue(owned(number, stranger)))).code is ErrorCode.DAILY_CAP
            await codes.issue(owned(number, address))
        await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(owned(number, somewhere())))).code is ErrorCode.DAILY_CAP

    for turn in range(4):
        shown = {"address": HOME} if turn % 2 else {"address": somewhere(), "session_phone": number}
        await codes.issue(owned(number, **shown))
        await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(owned(number)))).code is ErrorCode.DAILY_CAP


class RecordingCallers(OnlySourceNetworks):
    """Remembers which sends were charged to their number, and which were refunded."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.is_full = is_full
        self.charged: list[int | None] = []
        self.refunded: list[int | None] = []

    async def charge_send(self, source: RequestSource, phone_ref: int | None) -> bool:  # noqa: ARG002  the port names it
        self.charged.append(phone_ref)
        return self.is_full and phone_ref is None

    async def refund_send(self, source: RequestSource, phone_ref: int | None) -> None:  # noqa: ARG002  as above
        self.refunded.append(phone_ref)


async def test_only_strangers_are_charged_for_sends_from_their_site_to_a_number(sms: Sms) -> None:
    number, callers = fresh_number(), RecordingCallers()
    for request in (owned(number), owned(number, somewhere()), owned(number, somewhere(), session_phone=number)):
        await sms.codes(callers).issue(request)
        await sms.age(number, seconds=61)

    assert callers.charged == [None, PHONES.ref(number), None]


@pytest.mark.parametrize("is_full", [False, True])
async def test_a_refusal_gives_back_what_was_kept_for_known_callers_and_nothing_else_of_theirs(
    sms: Sms, *, is_full: bool
) -> None:
    number, callers = fresh_number(), RecordingCallers(is_full=is_full)
    codes = sms.codes(callers)
    await codes.issue(owned(number))
    assert callers.refunded == []

    assert (await refusal(codes.issue(owned(number)))).code is ErrorCode.COOLDOWN
    assert (await refusal(codes.issue(owned(number, somewhere())))).code is ErrorCode.COOLDOWN

    assert callers.refunded == [*([None] if is_full else []), PHONES.ref(number)]


async def test_the_cap_of_a_dialect_counts_its_own_sends(sms: Sms, codes: CodeCalls) -> None:
    number = fresh_number()
    for _ in range(4):
        await codes.issue(owned(number))
        await sms.age(number, seconds=61)
    for _ in range(3):
        await codes.issue(owned(number, dialect="tel", daily_cap=3))
        await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(owned(number, dialect="tel", daily_cap=3)))).code is ErrorCode.DAILY_CAP
    assert await codes.issue(owned(number))


async def use_up_tries(sms: Sms, codes: CodeCalls, number: E164) -> None:
    """Strangers ask for two codes of a number without an account, and use up its ten tries."""
    for _ in range(2):
        issued = await codes.issue(asking(number, address=somewhere()))
        for _ in range(5):
            await enter_wrong(codes, number, issued.code, somewhere(), Purpose.SIGN_UP)
        await sms.age(number, seconds=61)


async def test_after_its_ten_a_number_without_an_account_accepts_one_more_try_every_two_hours(
    sms: Sms, codes: CodeCalls
) -> None:
    number = fresh_number()
    await use_up_tries(sms, codes, number)
    issued = await codes.issue(asking(number, address=somewhere()))
    assert await refusal(codes.check(entering(number, issued.code, address=somewhere())))

    await sms.age(number, hours=2)
    issued = await codes.issue(asking(number, address=somewhere()))
    before = sms.deriver.compared
    for _ in range(3):
        await enter_wrong(codes, number, issued.code, somewhere(), Purpose.SIGN_UP)
    assert sms.deriver.compared - before == 1
    assert await refusal(codes.check(entering(number, issued.code, address=somewhere())))

    await sms.age(number, hours=2)
    issued = await codes.issue(asking(number, address=somewhere()))
    assert await codes.check(entering(number, issued.code, address=somewhere()))


async def test_the_network_that_asked_for_a_code_has_a_try_that_no_other_network_can_use_up(
    sms: Sms, codes: CodeCalls
) -> None:
    number, asker = fresh_number(), somewhere()
    await use_up_tries(sms, codes, number)
    issued = await codes.issue(asking(number, address=asker))
    before = sms.deriver.compared
    for _ in range(30):
        await enter_wrong(codes, number, issued.code, somewhere(), Purpose.SIGN_UP)
    assert sms.deriver.compared == before

    await enter_wrong(codes, number, issued.code, asker, Purpose.SIGN_UP)
    assert sms.deriver.compared == before + 1
    assert await refusal(codes.check(entering(number, issued.code, address=asker))), "one in two hours"

    await sms.age(number, hours=2)
    issued = await codes.issue(asking(number, address=asker))
    await enter_wrong(codes, number, issued.code, somewhere(), Purpose.SIGN_UP)
    assert await codes.check(entering(number, issued.code, address=asker))


async def test_strangers_cannot_end_the_code_of_the_network_that_asked_for_it(codes: CodeCalls) -> None:
    number, asker = fresh_number(), somewhere()
    issued = await codes.issue(asking(number, address=asker))
    for _ in range(8):
        await enter_wrong(codes, number, issued.code, somewhere(), Purpose.SIGN_UP)

    assert await refusal(codes.check(entering(number, issued.code, address=somewhere())))
    assert await codes.check(entering(number, issued.code, address=asker))


async def test_one_network_alone_has_five_tries_at_the_code_it_asked_for(sms: Sms, codes: CodeCalls) -> None:
    number, asker = fresh_number(), somewhere()
    issued = await codes.issue(asking(number, address=asker))
    before = sms.deriver.compared
    for _ in range(8):
        await enter_wrong(codes, number, issued.code, asker, Purpose.SIGN_UP)

    assert sms.deriver.compared - before == 5
    assert await refusal(codes.check(entering(number, issued.code, address=asker)))


async def test_two_hundred_wrong_tries_at_once_count_exactly_in_their_lanes(processes: tuple[Sms, Sms]) -> None:
    number, both = fresh_number(), [sms.codes(OnlySourceNetworks()) for sms in processes]
    issued = await both[0].issue(owned(number))
    before = sum(sms.deriver.compared for sms in processes)
    checks = [
        entering(number, wrong(issued.code), RESET, address=HOME if turn % 4 == 0 else somewhere())
        for turn in range(200)
    ]

    answers = await asyncio.gather(
        *(until_accepted(partial(both[turn % 2].check, check)) for turn, check in enumerate(checks)),
        return_exceptions=True,
    )

    assert {answer.code for answer in answers if isinstance(answer, ServiceError)} == {ErrorCode.CODE_REFUSED}
    assert sum(sms.deriver.compared for sms in processes) - before == 10
    row = await processes[0].pool.fetchrow(
        "select tries, known_tries, failure_networks from verifications join number_activity using (phone_ref) "
        "where phone_ref = $1",
        PHONES.ref(number),
    )
    assert (row["tries"], row["known_tries"]) == (5, 5)
    assert Counter(network == "known" for network in row["failure_networks"]) == {True: 5, False: 5}


async def test_the_reserved_try_of_a_network_is_one_even_at_once(processes: tuple[Sms, Sms]) -> None:
    number, asker, both = fresh_number(), somewhere(), [sms.codes(OnlySourceNetworks()) for sms in processes]
    await use_up_tries(processes[0], both[0], number)
    issued = await both[0].issue(asking(number, address=asker))
    before = sum(sms.deriver.compared for sms in processes)

    checks = [partial(both[turn % 2].check, entering(number, wrong(issued.code), address=asker)) for turn in range(60)]
    await asyncio.gather(*map(until_accepted, checks), return_exceptions=True)

    assert sum(sms.deriver.compared for sms in processes) - before == 1


async def test_of_many_requests_of_strangers_at_once_no_more_than_six_are_sent(processes: tuple[Sms, Sms]) -> None:
    number, both = fresh_number(), [sms.codes(OnlySourceNetworks()) for sms in processes]
    sent = 0
    for _ in range(8):
        calls = [partial(both[turn % 2].issue, owned(number, somewhere())) for turn in range(10)]
        answers = await asyncio.gather(*map(until_accepted, calls), return_exceptions=True)
        sent += sum(isinstance(answer, CodeIssued) for answer in answers)
        await processes[0].age(number, seconds=61)
    assert sent == 6


async def test_a_used_code_is_good_for_its_network_for_a_minute_five_times(sms: Sms, codes: CodeCalls) -> None:
    number, network = fresh_number(), somewhere()
    issued = await codes.issue(asking(number))
    first = await codes.check(entering(number, issued.code, address=network))

    for _ in range(40):
        assert await refusal(codes.check(entering(number, issued.code, address=somewhere())))
    again = [await codes.check(entering(number, issued.code, address=network)) for _ in range(MAX_REPEATS)]
    assert {checked.ticket for checked in again} == {first.ticket}
    assert await refusal(codes.check(entering(number, issued.code, address=network)))

    other = fresh_number()
    issued = await codes.issue(asking(other))
    await codes.check(entering(other, issued.code, address=network))
    await sms.age(other, minutes=1)
    assert await refusal(codes.check(entering(other, issued.code, address=network)))


async def test_a_used_code_is_repeated_no_more_than_five_times_even_at_once(processes: tuple[Sms, Sms]) -> None:
    number, network, both = fresh_number(), somewhere(), [sms.codes(OnlySourceNetworks()) for sms in processes]
    issued = await both[0].issue(asking(number))
    await both[0].check(entering(number, issued.code, address=network))

    calls = [partial(both[turn % 2].check, entering(number, issued.code, address=network)) for turn in range(60)]
    answers = await asyncio.gather(*map(until_accepted, calls), return_exceptions=True)

    assert 1 <= sum(not isinstance(answer, BaseException) for answer in answers) <= MAX_REPEATS
    tries = "select tries from verifications where verification_id = $1"
    assert await processes[0].pool.fetchval(tries, issued.verification_id) == 0, "a correct code is no failure"


async def test_with_a_secret_a_used_code_is_good_for_ten_minutes_and_elsewhere_only_to_repeat(
    sms: Sms, codes: CodeCalls
) -> None:
    number, network = fresh_number(), somewhere()
    issued = await codes.issue(asking(number))
    first = await codes.check(entering(number, issued.code, address=network, with_secret=True))
    await sms.age(number, minutes=6)

    for _ in range(8):
        again = await codes.check(entering(number, issued.code, address=network, with_secret=True))
        elsewhere = await codes.check(entering(number, issued.code, address=somewhere(), with_secret=True))
    opened = [
        TICKETS.open(checked.ticket, Purpose.SIGN_UP, now=datetime.now(UTC)) for checked in (first, again, elsewhere)
    ]
    assert [ticket.repeats_only for ticket in opened] == [False, False, True]
    assert opened[0].verification_id == opened[2].verification_id
    await sms.age(number, minutes=4)
    assert await refusal(codes.check(entering(number, issued.code, address=network, with_secret=True)))


async def test_of_correct_codes_at_once_from_many_networks_one_gets_a_ticket(processes: tuple[Sms, Sms]) -> None:
    number, both = fresh_number(), [sms.codes(OnlySourceNetworks()) for sms in processes]
    issued = await both[0].issue(asking(number))

    calls = [partial(both[turn % 2].check, entering(number, issued.code, address=somewhere())) for turn in range(40)]
    answers = await asyncio.gather(*map(until_accepted, calls), return_exceptions=True)

    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    row = await processes[0].pool.fetchrow(
        "select tries, cardinality(failures) as failures from verifications join number_activity using (phone_ref) "
        "where phone_ref = $1",
        PHONES.ref(number),
    )
    assert tuple(row) <= (5, 5)


async def test_the_known_networks_of_a_code_are_those_of_its_last_request(sms: Sms, codes: CodeCalls) -> None:
    number, work = fresh_number(), somewhere()
    await codes.issue(owned(number, known_networks=[]))
    await sms.age(number, seconds=61)
    await codes.issue(owned(number, work, known_networks=[NETWORKS.ref(RequestSource(ip_address(work)))]))

    known = "select known_networks from verifications where phone_ref = $1"
    assert await sms.pool.fetchval(known, PHONES.ref(number)) == [NETWORKS.ref(RequestSource(ip_address(work)))]
