"""What the holder of a challenge is told: how many tries they have left of all limits, or that a new code is no help."""

import secrets
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import pytest
from support.sms import (
    NETWORKS,
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

from shared.errors import ErrorCode
from shared.internal_api.sms import CodeIssued, IssueCode, Purpose
from shared.networks import RequestSource
from shared.phone import E164
from sms_service.callers.failure_budget import FailureBudget

LIMITED = "limited"
Told = int | str | None
HOME = "203.0.113.7"
"""The address of the owner, whose network is known to the number."""


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


@pytest.fixture
def codes(sms: Sms) -> CodeCalls:
    return sms.codes(OnlySourceNetworks())


def somewhere() -> str:
    """An address in a network that no other test uses."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"


def owned(number: E164, purpose: Purpose = Purpose.SIGN_IN, address: str = HOME) -> IssueCode:
    """A request for a code for a number with an account, whose owner is at ``HOME``."""
    known = [NETWORKS.ref(RequestSource(ip_address(HOME)))]
    return asking(number, purpose, registered=True, known_networks=known, address=address)


async def told(
    codes: CodeCalls, issued: CodeIssued, code: str, purpose: Purpose = Purpose.SIGN_UP, **source: Any
) -> Told:
    """What the holder of a challenge is told when a code is refused: the tries left, ``LIMITED``, or neither."""
    error = await refusal(codes.check(entering(None, code, purpose, verification_id=issued.verification_id, **source)))
    assert (error.code, error.field, error.retry_after) == (ErrorCode.CODE_REFUSED, None, None)
    assert not (error.is_limited and error.tries_left is not None)
    return LIMITED if error.is_limited else error.tries_left


async def told_each(
    codes: CodeCalls, issued: CodeIssued, times: int, purpose: Purpose = Purpose.SIGN_UP, **source: Any
) -> list[Told]:
    """What they are told of incorrect codes, one after the other."""
    return [await told(codes, issued, wrong(issued.code), purpose, **source) for _ in range(times)]


async def spend_tries(
    codes: CodeCalls, number: E164, issued: CodeIssued, addresses: list[str], purpose: Purpose = Purpose.SIGN_UP
) -> None:
    for address in addresses:
        await refusal(codes.check(entering(number, wrong(issued.code), purpose, address=address)))


@pytest.mark.parametrize("has_account", [True, False])
async def test_after_five_incorrect_codes_from_one_network_no_new_code_helps_it(
    codes: CodeCalls, has_account: bool
) -> None:
    number, network = fresh_number(), somewhere()
    purpose = Purpose.SIGN_IN if has_account else Purpose.SIGN_UP
    issued = await codes.issue(owned(number, address=network) if has_account else asking(number, address=network))

    assert await told_each(codes, issued, 6, purpose, address=network) == [4, 3, 2, 1, LIMITED, LIMITED]
    assert [await told(codes, issued, issued.code, purpose, address=network) for _ in range(3)] == [LIMITED] * 3


async def test_incorrect_codes_at_an_earlier_code_leave_fewer_tries_of_the_next(sms: Sms, codes: CodeCalls) -> None:
    number, network = fresh_number(), somewhere()
    earlier = await codes.issue(asking(number, address=network))
    await spend_tries(codes, number, earlier, [network] * 3)
    await sms.age(number, minutes=6)
    issued = await codes.issue(asking(number, address=network))

    assert await told_each(codes, issued, 2, address=network) == [1, LIMITED]
    assert await told(codes, issued, issued.code, address=network) == LIMITED
    assert await codes.check(entering(number, issued.code, address=somewhere()))


@pytest.mark.parametrize("has_account", [True, False])
async def test_the_limit_on_a_number_leaves_fewer_tries_than_its_code(
    sms: Sms, codes: CodeCalls, has_account: bool
) -> None:
    number, network = fresh_number(), somewhere()
    purpose = Purpose.SIGN_IN if has_account else Purpose.SIGN_UP

    async def issue() -> CodeIssued:
        return await codes.issue(owned(number, address=somewhere()) if has_account else asking(number))

    await spend_tries(codes, number, await issue(), [somewhere() for _ in range(5)], purpose)
    await sms.age(number, minutes=6)
    issued = await issue()
    await spend_tries(codes, number, issued, [somewhere() for _ in range(3)], purpose)

    assert await told_each(codes, issued, 2, purpose, address=network) == [1, LIMITED]
    assert await told(codes, issued, issued.code, purpose, address=network) == LIMITED


async def test_the_owner_is_told_of_a_new_code_until_their_ten_are_used_up(sms: Sms, codes: CodeCalls) -> None:
    number, purpose = fresh_number(), Purpose.SIGN_IN
    first = await codes.issue(owned(number))
    assert await told_each(codes, first, 6, purpose, address=HOME) == [4, 3, 2, 1, 0, 0]
    await sms.age(number, seconds=61)
    second = await codes.issue(owned(number))

    assert second.verification_id != first.verification_id
    assert await told_each(codes, second, 6, purpose, address=HOME) == [4, 3, 2, 1, LIMITED, LIMITED]
    await sms.age(number, minutes=6)
    third = await codes.issue(owned(number))
    assert await told(codes, third, third.code, purpose, address=HOME) == LIMITED

    await sms.age(number, hours=24)
    later = await codes.issue(owned(number))
    assert await told_each(codes, later, 1, purpose, address=HOME) == [4]
    assert await codes.check(entering(None, later.code, purpose, verification_id=later.verification_id, address=HOME))


async def test_strangers_are_not_sent_to_a_new_code_that_would_be_the_same_one(sms: Sms, codes: CodeCalls) -> None:
    number, stranger, purpose = fresh_number(), somewhere(), Purpose.SIGN_IN
    issued = await codes.issue(owned(number, address=stranger))
    await spend_tries(codes, number, issued, [somewhere() for _ in range(4)], purpose)

    assert await told_each(codes, issued, 2, purpose, address=stranger) == [LIMITED, LIMITED]
    assert await told_each(codes, issued, 1, purpose, address=HOME) == [4]
    await sms.age(number, minutes=6)
    assert await told(codes, issued, issued.code, purpose, address=stranger) == 0


async def test_a_dead_code_of_a_limited_number_sends_nobody_to_a_new_one(sms: Sms, codes: CodeCalls) -> None:
    number, network = fresh_number(), somewhere()
    issued = await codes.issue(asking(number, address=network))
    await spend_tries(codes, number, issued, [network] * 5)
    await sms.age(number, minutes=6)

    assert await told(codes, issued, issued.code, address=network) == LIMITED
    assert await told(codes, issued, issued.code, address=somewhere()) == 0


async def test_a_new_code_helps_again_when_a_number_without_an_account_has_its_reserved_try(
    sms: Sms, codes: CodeCalls
) -> None:
    number, network = fresh_number(), somewhere()
    issued = await codes.issue(asking(number, address=network))
    await spend_tries(codes, number, issued, [network] * 5)
    await sms.age(number, minutes=121)

    assert await told(codes, issued, issued.code, address=network) == 0
    fresh = await codes.issue(asking(number, address=network))
    assert await told_each(codes, fresh, 1, address=network) == [LIMITED]


async def test_the_hourly_limit_of_a_network_over_all_numbers_is_told(sms: Sms) -> None:
    codes, network = sms.codes(OnlySourceNetworks(), failure_budget=FailureBudget(3)), somewhere()
    sign_in: dict[str, Any] = {"purpose": Purpose.SIGN_IN, "address": network}
    issued, other = [await codes.issue(owned(fresh_number())) for _ in range(2)]

    assert await told_each(codes, issued, 3, **sign_in) == [2, 1, LIMITED]
    assert [await told(codes, other, other.code, **sign_in) for _ in range(2)] == [LIMITED, LIMITED]
    assert await told_each(codes, other, 1, Purpose.SIGN_IN, address=somewhere()) == [2]


async def test_the_limit_of_an_app_is_told(sms: Sms) -> None:
    codes, app = sms.codes(OnlySourceNetworks(), app_failures=3), f"app-{secrets.token_hex(6)}"
    sign_in: dict[str, Any] = {"purpose": Purpose.SIGN_IN, "app": app}
    issued, other = [await codes.issue(owned(fresh_number())) for _ in range(2)]

    assert await told_each(codes, issued, 3, **sign_in) == [2, 1, LIMITED]
    assert [await told(codes, other, other.code, **sign_in) for _ in range(2)] == [LIMITED, LIMITED]
    assert await told_each(codes, other, 1, Purpose.SIGN_IN, app=f"{app}-2") == [2]


@pytest.mark.parametrize("full", ["network", "app"])
async def test_where_a_limit_is_full_a_new_code_of_a_number_without_an_account_has_one_try(sms: Sms, full: str) -> None:
    codes = sms.codes(OnlySourceNetworks(), failure_budget=FailureBudget(3), app_failures=3)
    here: dict[str, Any] = {"address": somewhere(), "app": ""}
    if full == "app":
        here = {"address": None, "app": f"app-{secrets.token_hex(6)}"}
    number = fresh_number()
    issued, elsewhere = [await codes.issue(asking(each, address=somewhere())) for each in (number, fresh_number())]

    assert await told_each(codes, issued, 4, **here) == [2, 1, 0, 0]
    assert await told(codes, elsewhere, elsewhere.code, **here) == 0, "it was not asked for here"
    await sms.age(number, seconds=61)
    again = await codes.issue(asking(number, **here))
    assert await told(codes, again, wrong(again.code), **here) == 0
    assert await told(codes, again, again.code, **here) == 0, "one try for each code"
    await sms.age(number, seconds=61)
    again = await codes.issue(asking(number, **here))
    assert await codes.check(entering(number, again.code, **here))


@pytest.mark.parametrize("code", ["correct", "incorrect"])
@pytest.mark.parametrize("state", ["no code", "limited", "open"])
async def test_a_check_by_number_is_told_of_no_limit(codes: CodeCalls, state: str, code: str) -> None:
    number, network = fresh_number(), somewhere()
    entered = "123456"
    if state != "no code":
        issued = await codes.issue(asking(number, address=network))
        await spend_tries(codes, number, issued, [network] * (5 if state == "limited" else 0))
        entered = issued.code if code == "correct" and state == "limited" else wrong(issued.code)

    error = await refusal(codes.check(entering(number, entered, address=network)))

    assert (error.code, error.tries_left, error.is_limited) == (ErrorCode.CODE_REFUSED, None, False)


async def test_the_event_of_an_incorrect_code_has_the_tries_that_its_caller_has_left(
    sms: Sms, codes: CodeCalls
) -> None:
    number, network = fresh_number(), somewhere()
    await spend_tries(codes, number, await codes.issue(asking(number)), [network] * 3)
    await sms.age(number, minutes=6)
    issued = await codes.issue(asking(number))
    await told_each(codes, issued, 2, address=network)

    events = await sms.events(str(issued.verification_id))
    failed = [event["data"]["tries_left"] for event in events if event["type"] == "sms.verification.failed.v1"]
    assert failed == [1, 0]
