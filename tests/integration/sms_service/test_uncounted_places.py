"""Callers to whose place nothing is charged: an office in the allow-list, and an app that tells no addresses.

At a number without an account they are protected from strangers as every other caller is.
"""

import secrets
from collections.abc import AsyncIterator
from ipaddress import ip_network
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
from shared.internal_api.sms import Purpose
from shared.networks import RequestSource, is_within
from sms_service.verification.send_limits import EXTRA_SEND_INTERVAL

OFFICE = "203.0.113.7"
PLACES = {"an app": {"address": None, "app": "shop"}, "the allow-list": {"address": OFFICE}}


class AllowsOffice(OnlySourceNetworks):
    """Has an allow-list."""

    def source_network(self, source: RequestSource) -> str | None:
        is_allowed = source.address is not None and is_within(source.address, (ip_network(OFFICE),))
        return None if is_allowed else super().source_network(source)


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


@pytest.fixture
def codes(sms: Sms) -> CodeCalls:
    return sms.codes(AllowsOffice())


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    return PLACES[request.param]


def somewhere() -> str:
    """An address in a network that no other test uses."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"


async def test_ten_codes_of_strangers_keep_no_caller_from_a_number_without_an_account_for_longer_than_twelve_minutes(
    sms: Sms, codes: CodeCalls, place: dict[str, Any]
) -> None:
    number = fresh_number()
    for _ in range(10):
        await codes.issue(asking(number, address=somewhere()))
        await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(asking(number, **place)))).code is ErrorCode.DAILY_CAP

    await sms.age(number, seconds=EXTRA_SEND_INTERVAL.total_seconds() - 61)
    assert await codes.issue(asking(number, **place))
    await sms.age(number, seconds=EXTRA_SEND_INTERVAL.total_seconds())
    assert (await refusal(codes.issue(asking(number, **place)))).code is ErrorCode.DAILY_CAP, "it is not new any more"


async def test_strangers_cannot_end_the_code_that_was_asked_for_there(codes: CodeCalls, place: dict[str, Any]) -> None:
    number = fresh_number()
    issued = await codes.issue(asking(number, **place))
    for _ in range(8):
        assert await refusal(codes.check(entering(number, wrong(issued.code), address=somewhere())))

    assert await refusal(codes.check(entering(number, issued.code, address=somewhere())))
    assert await codes.check(entering(number, issued.code, **place))


async def test_they_have_all_ten_incorrect_codes_of_a_number_as_before(
    sms: Sms, codes: CodeCalls, place: dict[str, Any]
) -> None:
    number, before = fresh_number(), sms.deriver.compared
    for _ in range(3):
        issued = await codes.issue(asking(number, **place))
        for _ in range(5):
            assert await refusal(codes.check(entering(number, wrong(issued.code), **place)))
        await sms.age(number, seconds=61)

    assert sms.deriver.compared - before == 10


async def test_they_have_all_six_codes_of_strangers_at_a_number_with_an_account_as_before(
    sms: Sms, codes: CodeCalls, place: dict[str, Any]
) -> None:
    number = fresh_number()
    request = asking(number, Purpose.SIGN_IN, registered=True, **place)
    for _ in range(6):
        await codes.issue(request)
        await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(request))).code is ErrorCode.DAILY_CAP


async def test_a_user_who_registered_from_there_has_three_codes_in_a_contract_with_a_cap_of_three(
    sms: Sms, codes: CodeCalls, place: dict[str, Any]
) -> None:
    number, network = fresh_number(), asking(fresh_number(), **place).source
    tel: dict[str, Any] = {"dialect": "tel", "daily_cap": 3, **place}
    known = {"registered": True, "known_networks": [NETWORKS.ref(network)]}
    await codes.issue(asking(number, **tel))
    for _ in range(2):
        await sms.age(number, seconds=61)
        await codes.issue(asking(number, Purpose.SIGN_IN, **tel, **known))
    await sms.age(number, seconds=61)
    assert (await refusal(codes.issue(asking(number, Purpose.SIGN_IN, **tel, **known)))).code is ErrorCode.DAILY_CAP
