"""Which numbers have an account: shared look-ups, and numbers that are looked up elsewhere, one by one."""

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest

from gateway.flows.registered_numbers import RegisteredNumbers
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOOK_UP, LookedUp, LookUp
from shared.internal_api.directory import LOOK_UP_ELSEWHERE, LookUpElsewhere
from shared.phone import E164

HERE, MOVES, NOWHERE = (E164(f"+861380013800{last}") for last in range(3))
NETWORK = 7


@dataclass(frozen=True)
class Place:
    address: IPv6Address = field(default_factory=lambda: IPv6Address("2001:db8::1"))
    app: str = "shop"


@dataclass
class AuthService:
    """Knows ``HERE``, and has a user source with ``MOVES`` if it ``asks``."""

    asks: bool = True
    calls: list[tuple[str, Any]] = field(default_factory=list)
    refusal: ServiceError | None = None

    async def call(self, endpoint: Any, request: Any) -> LookedUp:
        self.calls.append((endpoint.path, request))
        if isinstance(request, LookUpElsewhere):
            if self.refusal is not None:
                raise self.refusal
            return LookedUp(registered=[request.phone == MOVES], known_networks=[[]], elsewhere=[True])
        assert isinstance(request, LookUp)
        return LookedUp(
            registered=[phone == HERE for phone in request.phones],
            known_networks=[[NETWORK] if phone == HERE else [] for phone in request.phones],
            elsewhere=[phone != HERE for phone in request.phones] if self.asks else [],
        )


async def test_a_number_that_may_be_elsewhere_is_looked_up_there_for_its_caller() -> None:
    auth = AuthService()
    numbers = RegisteredNumbers(auth)

    here, moves, nowhere = await asyncio.gather(*(numbers.find(each, Place()) for each in (HERE, MOVES, NOWHERE)))

    assert here is not None
    assert here.known_networks == [NETWORK]
    assert moves is not None
    assert moves.known_networks == []
    assert nowhere is None
    assert sorted(path for path, _ in auth.calls) == [LOOK_UP.path, *[LOOK_UP_ELSEWHERE.path] * 2]
    elsewhere = [request for path, request in auth.calls if path == LOOK_UP_ELSEWHERE.path]
    assert {(request.address, request.app) for request in elsewhere} == {(ip_address("2001:db8::1"), "shop")}


async def test_without_a_user_source_one_call_decides() -> None:
    auth = AuthService(asks=False)
    numbers = RegisteredNumbers(auth)
    assert [await numbers.contains(each, Place()) for each in (HERE, MOVES)] == [True, False]
    assert {path for path, _ in auth.calls} == {LOOK_UP.path}


@pytest.mark.parametrize("code", [ErrorCode.UNAVAILABLE, ErrorCode.CALLER_LIMIT])
async def test_a_refusal_elsewhere_never_counts_as_no_account(code: ErrorCode) -> None:
    numbers = RegisteredNumbers(AuthService(refusal=ServiceError(code, retry_after=3)))
    with pytest.raises(ServiceError) as refused:
        await numbers.contains(NOWHERE, Place())
    assert (refused.value.code, refused.value.retry_after) == (code, 3)
    assert await numbers.contains(HERE, Place())
