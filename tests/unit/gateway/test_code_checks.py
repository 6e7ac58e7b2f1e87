"""Every check and request of a code carries what sms-service has to know of its caller."""

from contextlib import suppress
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
from shared.internal_api.auth import LOOK_UP, RESOLVE, LookedUp, Resolved
from shared.internal_api.sms import (
    CHECK_CODE,
    ISSUE_CODE,
    CheckCode,
    CodeChecked,
    CodeIssued,
    IssueCode,
    Purpose,
)
from shared.keys import KeyRing
from shared.phone import E164

NUMBER, NEW_NUMBER = E164("+8613800138000"), E164("+8613900139000")
CALLER = Caller(ip_address("203.0.113.7"), "native", "test", 60, 10)
PASSWORD = Password.from_plain("secret123")
SESSION = Resolved(session_id=UUID(int=1), account=account(phone=NUMBER))


class SmsService:
    """Records every check and request; every code is correct."""

    def __init__(self) -> None:
        self.checks: list[CheckCode] = []
        self.requests: list[IssueCode] = []

    async def call(self, endpoint: Any, request: Any) -> Any:
        if endpoint is ISSUE_CODE:
            self.requests.append(request)
            return CodeIssued(verification_id=UUID(int=1), expires_in=300, resend_after=60)
        assert endpoint is CHECK_CODE
        self.checks.append(request)
        return CodeChecked(ticket="ticket", expires_in=600)


class AuthService:
    """``NUMBER`` may have an account with a known network and one living session; every other call is refused."""

    def __init__(self, *, registered: bool = False) -> None:
        self.registered = registered

    async def call(self, endpoint: Any, request: Any) -> Any:
        if endpoint is LOOK_UP:
            known = [[7] if self.registered else []] * len(request.phones)
            return LookedUp(registered=[self.registered] * len(request.phones), known_networks=known)
        if endpoint is RESOLVE:
            if request.token == "living":
                return SESSION
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
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


def flows_of(sms: SmsService, *, registered: bool = False) -> Flows:
    return compose_flows(
        auth=AuthService(registered=registered),
        sms=sms,
        contacts=AuthService(),
        seal_keys=KeyRing.parse("1:" + "a1" * 32),
        served_calling_codes=("86",),
        refuse_common_passwords=False,
    )


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
    flows = flows_of(sms)
    try:
        await call(flows, replace(CALLER, allow_master_code=allowed))
    except ServiceError as error:
        assert error.code is ErrorCode.NOT_FOUND

    assert [check.address for check in sms.checks] == [CALLER.address] * checks
    assert {check.allow_master_code for check in sms.checks} == {allowed}


@pytest.mark.parametrize(
    ("call", "with_secret"),
    [
        (register_with_code, True),
        (reset_password, True),
        (change_number, True),
        (check_before_registration, False),
        (check_by_number, False),
        (check_by_verification, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_only_a_call_with_a_password_or_a_session_is_checked_as_one_with_a_secret(
    call: Any, with_secret: bool
) -> None:
    sms = SmsService()
    with suppress(ServiceError):
        await call(flows_of(sms), CALLER)

    assert {check.with_secret for check in sms.checks} == {with_secret}


@pytest.mark.parametrize(
    ("tokens", "shown"), [((), None), (("ended",), None), (("living",), NUMBER), (("ended", "living"), NUMBER)]
)
@pytest.mark.parametrize("registered", [True, False])
async def test_codes_carry_the_number_of_the_living_session_and_the_known_networks(
    tokens: tuple[str, ...], shown: E164 | None, registered: bool
) -> None:
    sms = SmsService()
    flows, caller = flows_of(sms, registered=registered), replace(CALLER, tokens=tokens)
    await flows.codes.send(caller, NUMBER, Purpose.RESET_PASSWORD)
    await flows.codes.check(caller, Purpose.RESET_PASSWORD, "123456", NUMBER)

    (request,), (check,) = sms.requests, sms.checks
    assert (request.session_phone, check.session_phone) == (shown, shown)
    assert (request.registered, request.known_networks) == (registered, [7] if registered else [])


def test_the_master_code_is_allowed_in_tel_only() -> None:
    assert [dialect.name for dialect in installed_dialects() if dialect.allows_master_code] == ["tel"]
