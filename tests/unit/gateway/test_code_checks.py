"""Every check of a code carries the caller's address and whether the master code is allowed."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest
from support.accounts import account

from gateway.dialect_registry import installed_dialects
from gateway.flows.composition import Flows, compose_flows
from gateway.flows.services import Caller
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOOK_UP, LookedUp, Resolved
from shared.internal_api.sms import CHECK_CODE, CheckCode, CodeChecked, Purpose
from shared.keys import KeyRing
from shared.phone import E164

NUMBER, NEW_NUMBER = E164("+8613800138000"), E164("+8613900139000")
CALLER = Caller(ip_address("203.0.113.7"), "native", "test", 60, 10)
PASSWORD = Password.from_plain("secret123")
SESSION = Resolved(session_id=UUID(int=1), account=account(phone=NUMBER))


class SmsService:
    """Records every check; every code is correct."""

    def __init__(self) -> None:
        self.checks: list[CheckCode] = []

    async def call(self, endpoint: Any, request: Any) -> Any:
        assert endpoint is CHECK_CODE
        self.checks.append(request)
        return CodeChecked(ticket="ticket", expires_in=600)


class AuthService:
    """No number has an account, and every other call is refused."""

    async def call(self, endpoint: Any, request: Any) -> Any:
        if endpoint is LOOK_UP:
            return LookedUp(registered=[False] * len(request.phones))
        raise ServiceError(ErrorCode.NOT_FOUND)


async def register_with_code(flows: Flows, caller: Caller) -> None:
    await flows.accounts.register_with_code(caller, NUMBER, PASSWORD, "123456")


async def reset_password(flows: Flows, caller: Caller) -> None:
    await flows.accounts.reset_password(caller, NUMBER, PASSWORD, "123456")


async def check_before_registration(flows: Flows, caller: Caller) -> None:
    await flows.codes.check_before_registration(caller, NUMBER, "123456")


async def check_by_number(flows: Flows, caller: Caller) -> None:
    await flows.codes.check(caller, Purpose.SIGN_IN, "123456", NUMBER)


async def check_by_verification(flows: Flows, caller: Caller) -> None:
    await flows.codes.check(caller, Purpose.SIGN_IN, "123456", UUID(int=1))


async def change_number(flows: Flows, caller: Caller) -> None:
    await flows.self_service.change_number_with_codes(caller, SESSION, NEW_NUMBER, old_code="123456", new_code="654321")


CALLS = [
    (register_with_code, 1),
    (reset_password, 1),
    (check_before_registration, 1),
    (check_by_number, 1),
    (check_by_verification, 1),
    (change_number, 2),
]


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(("call", "checks"), CALLS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_check_carries_the_address_and_the_master_code_rule_of_its_caller(
    call: Any, checks: int, allowed: bool
) -> None:
    sms = SmsService()
    flows = compose_flows(
        auth=AuthService(),
        sms=sms,
        contacts=AuthService(),
        seal_keys=KeyRing.parse("1:" + "a1" * 32),
        served_calling_codes=("86",),
    )
    try:
        await call(flows, replace(CALLER, allow_master_code=allowed))
    except ServiceError as error:
        assert error.code is ErrorCode.NOT_FOUND

    assert [check.address for check in sms.checks] == [CALLER.address] * checks
    assert {check.allow_master_code for check in sms.checks} == {allowed}


def test_the_master_code_is_allowed_in_tel_only() -> None:
    assert [dialect.name for dialect in installed_dialects() if dialect.allows_master_code] == ["tel"]
