"""Incorrect codes by source network: one network cannot use up the limit of a number, nor guess at many numbers."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from ipaddress import ip_address

import pytest
from support.patience import until_accepted
from support.sms import (
    NETWORKS,
    PHONES,
    CodeCalls,
    OnlySourceNetworks,
    Sms,
    asking,
    entering,
    fresh_number,
    refusal,
    running,
    wrong,
)

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.sms import CheckCode, Purpose
from shared.networks import RequestSource
from sms_service.callers.failure_budget import FailureBudget
from sms_service.retention import purge
from sms_service.retention_store import RetentionStore
from sms_service.verification.store import VerificationStore


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


@pytest.fixture
def codes(sms: Sms) -> CodeCalls:
    return sms.codes(OnlySourceNetworks(), failure_budget=FailureBudget(60))


def somewhere() -> str:
    """An address in a network that no other test uses."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"


async def failures(sms: Sms, network: str) -> int:
    network = network.rpartition(".")[0] + ".0/24"
    return await sms.pool.fetchval(
        "select coalesce((select failures from check_failures_by_network where network = $1), 0)", network
    )


async def fill(codes: CodeCalls, network: str) -> None:
    """A stranger there enters the 60 incorrect codes that a network may enter in an hour, at numbers of its own."""
    for _ in range(12):
        number = fresh_number()
        issued = await codes.issue(asking(number, address=network))
        for _ in range(5):
            await refusal(codes.check(entering(number, wrong(issued.code), address=network)))


async def test_one_network_has_five_incorrect_codes_for_a_number_and_the_owner_has_the_rest(
    sms: Sms, codes: CodeCalls
) -> None:
    number, stranger, owner = fresh_number(), somewhere(), somewhere()
    for purpose in (Purpose.SIGN_UP, Purpose.RESET_PASSWORD, Purpose.CHANGE_PHONE):
        issued = await codes.issue(asking(number, purpose))
        await sms.age(number, seconds=61)
        for _ in range(5):
            check = entering(number, wrong(issued.code), purpose, address=stranger)
            assert (await refusal(codes.check(check))).code is ErrorCode.CODE_REFUSED
    before = sms.deriver.compared
    assert await refusal(codes.check(entering(number, issued.code, purpose, address=stranger)))
    by_id = entering(None, issued.code, purpose, verification_id=issued.verification_id, address=stranger)
    assert await refusal(codes.check(by_id))
    assert sms.deriver.compared == before

    row = await sms.pool.fetchrow("select * from number_activity where phone_ref = $1", PHONES.ref(number))
    assert len(row["failures"]) == len(row["failure_networks"]) == 5
    assert await failures(sms, stranger) == 5
    assert await codes.check(entering(number, issued.code, purpose, address=owner))

    await sms.age(number, hours=24)
    issued = await codes.issue(asking(number))
    assert await codes.check(entering(number, issued.code, address=stranger))


async def test_many_networks_and_no_network_together_have_ten_incorrect_codes_for_a_number(
    sms: Sms, codes: CodeCalls
) -> None:
    number, tried = fresh_number(), 0
    for purpose in (Purpose.SIGN_UP, Purpose.RESET_PASSWORD, Purpose.CHANGE_PHONE):
        issued = await codes.issue(asking(number, purpose))
        await sms.age(number, seconds=61)
        for turn in range(5):
            more = {"address": somewhere()} if turn % 2 else {}
            await refusal(codes.check(entering(number, wrong(issued.code), purpose, **more)))
    tried = await sms.pool.fetchval(
        "select cardinality(failures) from number_activity where phone_ref = $1", PHONES.ref(number)
    )
    assert tried == 10
    assert await refusal(codes.check(entering(number, issued.code, purpose, address=somewhere())))


async def test_one_network_has_sixty_incorrect_codes_an_hour_for_all_numbers_even_at_once(
    sms: Sms, codes: CodeCalls
) -> None:
    network, numbers = somewhere(), [fresh_number() for _ in range(13)]
    issued = {number: await codes.issue(asking(number)) for number in numbers}
    before = sms.deriver.compared
    checks = [entering(number, wrong(issued[number].code), address=network) for number in numbers for _ in range(5)]

    answers = await asyncio.gather(
        *(until_accepted(partial(codes.check, check)) for check in checks), return_exceptions=True
    )

    assert {answer.code for answer in answers if isinstance(answer, ServiceError)} == {ErrorCode.CODE_REFUSED}
    assert (len(answers), sms.deriver.compared - before, await failures(sms, network)) == (65, 60, 60)
    counted = "select sum(cardinality(failures)) from number_activity where phone_ref = any ($1::bigint[])"
    assert await sms.pool.fetchval(counted, [PHONES.ref(number) for number in numbers]) == 60
    fresh = fresh_number()
    code = (await codes.issue(asking(fresh))).code
    assert await refusal(codes.check(entering(fresh, code, address=network)))
    assert await codes.check(entering(fresh, code, address=somewhere(), with_secret=True))

    await sms.pool.execute(
        "update check_failures_by_network set resets_at = resets_at - $1::interval", timedelta(hours=1)
    )
    assert await codes.check(entering(fresh, code, address=network, with_secret=True))


async def test_a_full_network_is_no_obstacle_to_a_newcomer_who_asked_for_their_code_there(
    sms: Sms, codes: CodeCalls
) -> None:
    network = somewhere()
    neighbour, newcomers = f"{network.rpartition('.')[0]}.200", [fresh_number() for _ in range(3)]
    await fill(codes, network)
    issued = [await codes.issue(asking(number, address=neighbour)) for number in newcomers]

    entered = [entering(number, each.code, address=neighbour) for number, each in zip(newcomers, issued, strict=True)]
    for check in entered[:2]:
        assert await codes.check(check)
    assert await failures(sms, network) == 60, "correct codes are taken back"
    elsewhere = fresh_number()
    code = (await codes.issue(asking(elsewhere, address=somewhere()))).code
    assert await refusal(codes.check(entering(elsewhere, code, address=neighbour)))
    await refusal(codes.check(entering(newcomers[2], wrong(issued[2].code), address=neighbour)))
    assert await refusal(codes.check(entered[2])), "one try for each code"
    assert await failures(sms, network) == 61


async def test_the_one_try_of_a_code_in_a_full_network_is_one_even_at_once(sms: Sms, codes: CodeCalls) -> None:
    network, numbers = somewhere(), [fresh_number() for _ in range(6)]
    await fill(codes, network)
    issued = {number: await codes.issue(asking(number, address=network)) for number in numbers}
    before = sms.deriver.compared
    checks = [entering(number, wrong(issued[number].code), address=network) for number in numbers for _ in range(10)]

    await asyncio.gather(*(until_accepted(partial(codes.check, check)) for check in checks), return_exceptions=True)

    assert (sms.deriver.compared - before, await failures(sms, network)) == (6, 66)


async def test_strangers_in_a_full_network_are_told_to_wait_before_a_log_in_code_is_sent(
    sms: Sms, codes: CodeCalls
) -> None:
    network, home, number = somewhere(), somewhere(), fresh_number()
    known = [NETWORKS.ref(RequestSource(ip_address(home)))]
    sign_in = asking(number, Purpose.SIGN_IN, registered=True, known_networks=known, address=network)
    await fill(codes, network)

    error = await refusal(codes.issue(sign_in))
    assert error.code is ErrorCode.CALLER_LIMIT
    assert 3590 <= (error.retry_after or 0) <= 3600
    assert await sms.sends(number) == []

    assert await codes.issue(sign_in.model_copy(update={"session_phone": number})), "known callers do not count there"
    await sms.age(number, seconds=61)
    assert await codes.issue(sign_in.model_copy(update={"address": ip_address(home)}))
    await sms.age(number, seconds=61)
    assert await codes.issue(sign_in.model_copy(update={"address": ip_address(somewhere())}))


async def test_strangers_of_a_full_app_are_told_to_wait_before_a_log_in_code_is_sent(sms: Sms, app: str) -> None:
    codes, other = sms.codes(OnlySourceNetworks(), app_failures=1), fresh_number()
    code = (await codes.issue(asking(other))).code
    await refusal(codes.check(entering(other, wrong(code), address=somewhere(), app=app)))

    sign_in = asking(fresh_number(), Purpose.SIGN_IN, registered=True, address=somewhere(), app=app)
    assert (await refusal(codes.issue(sign_in))).code is ErrorCode.CALLER_LIMIT
    assert await codes.issue(sign_in.model_copy(update={"app": f"{app}-2"}))


async def test_correct_codes_do_not_count_against_a_network_even_at_once(sms: Sms, codes: CodeCalls) -> None:
    number, network = fresh_number(), somewhere()
    issued = await codes.issue(asking(number))
    entered = entering(number, issued.code, address=network, with_secret=True)
    for _ in range(8):
        assert await codes.check(entered)
    await asyncio.gather(*(codes.check(entered) for _ in range(20)), return_exceptions=True)

    assert await failures(sms, network) == 0
    row = await sms.pool.fetchrow("select * from number_activity where phone_ref = $1", PHONES.ref(number))
    assert (row["failures"], row["failure_networks"]) == ([], [])


async def test_an_ipv6_site_is_one_source_network(sms: Sms, codes: CodeCalls) -> None:
    number, site = fresh_number(), f"2001:db8:{secrets.randbelow(2**16):x}"
    issued = await codes.issue(asking(number))
    for subnet in range(4):
        check = entering(number, wrong(issued.code), address=f"{site}:{subnet:x}00::1")
        await refusal(codes.check(check))
    slots = "select failure_networks from number_activity where phone_ref = $1"
    assert len(set(await sms.pool.fetchval(slots, PHONES.ref(number)))) == 1


async def test_with_limits_off_an_address_changes_nothing(sms: Sms) -> None:
    number, network, codes = fresh_number(), somewhere(), sms.codes()
    for purpose in (Purpose.SIGN_UP, Purpose.RESET_PASSWORD):
        issued = await codes.issue(asking(number, purpose))
        await sms.age(number, seconds=61)
        for _ in range(5):
            await refusal(codes.check(entering(number, wrong(issued.code), purpose, address=network)))
    tried = "select cardinality(failures) from number_activity where phone_ref = $1"
    assert await sms.pool.fetchval(tried, PHONES.ref(number)) == 10
    assert await failures(sms, network) == 0


async def test_source_networks_are_purged_after_their_hour(sms: Sms, codes: CodeCalls) -> None:
    number, old, young = fresh_number(), somewhere(), somewhere()
    issued = await codes.issue(asking(number))
    for network in (old, young):
        await refusal(codes.check(entering(number, wrong(issued.code), address=network)))
    await sms.pool.execute(
        "update check_failures_by_network set resets_at = now() - interval '1 s' where network = $1",
        old.rpartition(".")[0] + ".0/24",
    )

    await purge(RetentionStore(sms.pool))

    assert (await failures(sms, old), await failures(sms, young)) == (0, 1)


async def test_correct_codes_for_many_numbers_at_once_do_not_count_against_their_network(
    sms: Sms, codes: CodeCalls
) -> None:
    place, numbers = somewhere(), [fresh_number() for _ in range(5)]
    entered = [entering(number, (await codes.issue(asking(number))).code, address=place) for number in numbers]
    await asyncio.gather(*(until_accepted(partial(codes.check, each)) for each in entered))
    assert await failures(sms, place) == 0


@pytest.fixture
def app() -> str:
    """An app that no other test uses."""
    return f"app-{secrets.token_hex(6)}"


async def app_failures(sms: Sms, app: str) -> int | None:
    return await sms.pool.fetchval("select failures from check_failures_by_network where network = $1", f"app {app}")


async def test_incorrect_codes_count_on_the_app_whose_server_checks_them_even_at_once(sms: Sms, app: str) -> None:
    codes = sms.codes(OnlySourceNetworks(), app_failures=12)
    numbers = [fresh_number() for _ in range(4)]
    issued = {number: await codes.issue(asking(number)) for number in numbers}
    before = sms.deriver.compared
    checks = [
        entering(number, wrong(issued[number].code), address=somewhere() if attempt % 2 else None, app=app)
        for number in numbers
        for attempt in range(4)
    ]

    answers = await asyncio.gather(
        *(until_accepted(partial(codes.check, check)) for check in checks), return_exceptions=True
    )

    assert {answer.code for answer in answers if isinstance(answer, ServiceError)} == {ErrorCode.CODE_REFUSED}
    assert (len(answers), sms.deriver.compared - before, await app_failures(sms, app)) == (16, 12, 12)
    correct = entering(numbers[0], issued[numbers[0]].code, app=app, with_secret=True)
    assert (await refusal(codes.check(correct))).code is ErrorCode.CODE_REFUSED
    assert await codes.check(entering(numbers[0], issued[numbers[0]].code, app=f"{app}-2", with_secret=True))

    await sms.pool.execute(
        "update check_failures_by_network set resets_at = resets_at - $1::interval", timedelta(hours=1)
    )
    assert await codes.check(correct)


async def test_the_user_of_an_app_counts_on_their_own_network_too(sms: Sms, codes: CodeCalls, app: str) -> None:
    number, stranger, owner = fresh_number(), somewhere(), somewhere()
    issued = await codes.issue(asking(number))

    for _ in range(2):
        await refusal(codes.check(entering(number, wrong(issued.code), address=stranger, app=app)))

    assert await failures(sms, stranger) == 2
    assert await app_failures(sms, app) == 2
    assert await codes.check(entering(number, issued.code, address=owner, app=app))
    assert await app_failures(sms, app) == 2


@pytest.mark.parametrize("shows", ["network", "session"])
async def test_strangers_of_an_app_cannot_shut_out_who_is_known_to_the_number_nor_do_these_count_on_it(
    sms: Sms, app: str, shows: str
) -> None:
    codes, owned, other = sms.codes(OnlySourceNetworks(), app_failures=3), fresh_number(), fresh_number()
    home = somewhere()
    known = [NETWORKS.ref(RequestSource(ip_address(home)))] if shows == "network" else []
    session = {} if known else {"session_phone": owned}
    reset = await codes.issue(asking(owned, Purpose.RESET_PASSWORD, registered=True, known_networks=known))
    sign_up = await codes.issue(asking(other))

    def as_owner(code: str) -> CheckCode:
        return entering(owned, code, Purpose.RESET_PASSWORD, address=home, app=app, **session)

    await refusal(codes.check(as_owner(wrong(reset.code))))
    assert await app_failures(sms, app) == 0
    for _ in range(3):
        await refusal(codes.check(entering(other, wrong(sign_up.code), address=somewhere(), app=app)))

    assert await refusal(codes.check(entering(other, sign_up.code, address=somewhere(), app=app)))
    await refusal(codes.check(as_owner(wrong(reset.code))))
    assert await codes.check(as_owner(reset.code))
    assert await app_failures(sms, app) == 3


async def test_only_an_incorrect_code_stays_counted_on_an_app(sms: Sms, codes: CodeCalls, app: str) -> None:
    number = fresh_number()
    await refusal(codes.check(entering(number, "123456", app=app)))
    await refusal(codes.check(entering(number, "12345", app=app)))
    issued = await codes.issue(asking(number))
    for _ in range(3):
        assert await codes.check(entering(number, issued.code, app=app))

    assert await app_failures(sms, app) == 0


async def test_an_incorrect_code_stays_counted_on_an_app_if_its_event_cannot_be_stored(
    codes: CodeCalls, app: str, sms: Sms, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = fresh_number()
    code = (await codes.issue(asking(number))).code

    async def fail(*_: object) -> None:
        raise unavailable()

    monkeypatch.setattr(VerificationStore, "record_event", fail)
    error = await refusal(codes.check(entering(number, wrong(code), address=somewhere(), app=app)))

    assert (error.code, await app_failures(sms, app)) == (ErrorCode.UNAVAILABLE, 1)


async def test_a_check_that_says_nothing_of_its_source_is_refused(codes: CodeCalls) -> None:
    check = entering(fresh_number(), "123456", address=None, app="")

    assert (await refusal(codes.check(check))).code is ErrorCode.PARAMETER_MISSING


async def test_all_incorrect_codes_of_the_last_hour_are_counted_over_all_numbers(sms: Sms, codes: CodeCalls) -> None:
    await sms.change_audit_rows("update verification_events set at = at - interval '1 hour' where kind = 'incorrect'")
    budget = FailureBudget(60, allowed=3)
    store = VerificationStore(sms.pool, budget)
    for left in (2, 1, 0):
        await store.count_failures()
        assert budget.network_failures == 60, left
        number = fresh_number()
        await refusal(
            codes.check(entering(number, wrong((await codes.issue(asking(number))).code), address=somewhere()))
        )

    await store.count_failures()
    assert budget.network_failures == 6
    await sms.change_audit_rows("update verification_events set at = at - interval '1 hour' where kind = 'incorrect'")
    await store.count_failures()
    assert budget.network_failures == 60


async def test_a_spent_budget_slows_the_networks_that_guess_and_no_other(sms: Sms) -> None:
    budget = FailureBudget(60, allowed=100)
    codes, guessing, quiet = sms.codes(OnlySourceNetworks(), failure_budget=budget), somewhere(), somewhere()
    number = fresh_number()
    for _ in range(7):
        guessed = fresh_number()
        check = entering(guessed, wrong((await codes.issue(asking(guessed))).code), address=guessing)
        await refusal(codes.check(check))
    code = (await codes.issue(asking(number))).code

    budget.update(100)

    assert await refusal(codes.check(entering(number, code, address=guessing)))
    assert await codes.check(entering(number, code, address=quiet, with_secret=True))
    assert await failures(sms, quiet) == 0
    budget.update(99)
    assert await codes.check(entering(number, code, address=guessing, with_secret=True))
