"""What the gateway asks of the services for numbers with and without an account, in both kinds of disclosure."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest
from support.accounts import account

from gateway.flows.composition import Flows, compose_flows
from gateway.flows.disclosure import AccountDisclosure
from gateway.flows.services import Caller
from gateway.flows.session_cache import Session
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOOK_UP, LookedUp
from shared.internal_api.sms import (
    ASK_STATUS,
    CHECK_CODE,
    ISSUE_CODE,
    AccountNotice,
    CodeIssued,
    IssueCode,
    Purpose,
    Status,
)
from shared.keys import KeyRing
from shared.phone import E164

NUMBER = E164("+8613800138000")
CALLER = Caller(ip_address("203.0.113.7"), "native", "test", 60, 10)
PASSWORD = Password.from_plain("secret123")
SESSION = Session(session_id=UUID(int=1), account=account(phone=E164("+8613900139000")))
KNOWN_NETWORKS = [7, 8]
AFTER_PROOF, CONTRACT = AccountDisclosure.AFTER_PROOF, AccountDisclosure.CONTRACT


@dataclass
class Services:
    """Records every call. No code is correct; ``registered`` says whether every number has an account."""

    registered: bool
    calls: list[tuple[str, Any]] = field(default_factory=list)

    async def call(self, endpoint: Any, request: Any) -> Any:
        self.calls.append((endpoint.path, request))
        if endpoint is LOOK_UP:
            known = [KNOWN_NETWORKS if self.registered else []] * len(request.phones)
            return LookedUp(registered=[self.registered] * len(request.phones), known_networks=known)
        if endpoint is CHECK_CODE:
            raise ServiceError(ErrorCode.CODE_REFUSED)
        if request.refuse is not None:
            raise ServiceError(request.refuse)
        if endpoint is ASK_STATUS:
            return Status()
        return CodeIssued(verification_id=UUID(int=1), expires_in=300, resend_after=60)

    def sent(self) -> IssueCode:
        """The one request for a code."""
        (request,) = (request for path, request in self.calls if path == ISSUE_CODE.path)
        assert isinstance(request, IssueCode)
        return request


Call = Callable[[Flows], Awaitable[object]]


def sending(purpose: Purpose, session: Session | None = None) -> Call:
    return lambda flows: flows.codes.send(CALLER, NUMBER, purpose, session=session)


FIRST_STEPS: dict[str, Call] = {
    "sign_up": sending(Purpose.SIGN_UP),
    "sign_in": sending(Purpose.SIGN_IN),
    "reset": sending(Purpose.RESET_PASSWORD),
    "change_old": sending(Purpose.CHANGE_PHONE),
    "change_new": sending(Purpose.CHANGE_PHONE, SESSION),
    "check_free": lambda flows: flows.codes.check_free(CALLER, NUMBER),
}
WRONG_CODES: dict[str, Call] = {
    "register": lambda flows: flows.accounts.register_with_code(CALLER, NUMBER, PASSWORD, "123456"),
    "verify": lambda flows: flows.codes.check_before_registration(CALLER, NUMBER, "123456"),
    "reset": lambda flows: flows.accounts.reset_password(CALLER, NUMBER, PASSWORD, "123456"),
    "check": lambda flows: flows.codes.check(CALLER, Purpose.SIGN_IN, "123456", NUMBER),
}
FREE = {"sign_up", "change_new", "check_free"}
"""The first steps for a number that must have no account."""


async def outcome(call: Call, disclosure: AccountDisclosure, *, registered: bool) -> tuple[ErrorCode | None, Services]:
    """The refusal of a call, if it is refused, and the calls that it made."""
    services = Services(registered)
    flows = compose_flows(
        auth=services,
        sms=services,
        contacts=services,
        seal_keys=KeyRing.parse("1:" + "a1" * 32),
        served_calling_codes=("86",),
        refuse_common_passwords=False,
        account_disclosure=disclosure,
    )
    try:
        await call(flows)
    except ServiceError as error:
        return error.code, services
    return None, services


@pytest.mark.parametrize("step", FIRST_STEPS)
async def test_as_the_contracts_write_the_first_step_tells_whether_there_is_an_account(step: str) -> None:
    refused = {
        registered: (await outcome(FIRST_STEPS[step], CONTRACT, registered=registered))[0]
        for registered in (True, False)
    }
    free = step in FREE
    assert refused == {
        True: ErrorCode.NUMBER_TAKEN if free else None,
        False: None if free else ErrorCode.NO_ACCOUNT,
    }


@pytest.mark.parametrize("step", FIRST_STEPS)
async def test_after_proof_every_first_step_succeeds_with_the_same_calls(step: str) -> None:
    outcomes = [await outcome(FIRST_STEPS[step], AFTER_PROOF, registered=registered) for registered in (True, False)]

    assert [refused for refused, _ in outcomes] == [None, None]
    with_account, without = ([path for path, _ in services.calls] for _, services in outcomes)
    assert with_account == without


@pytest.mark.parametrize("step", [step for step in FIRST_STEPS if step != "check_free"])
async def test_after_proof_only_the_text_and_the_known_networks_differ(step: str) -> None:
    sent = {
        registered: (await outcome(FIRST_STEPS[step], AFTER_PROOF, registered=registered))[1].sent()
        for registered in (True, False)
    }
    hidden = {"notice", "known_networks"}

    assert sent[True].model_dump(exclude=hidden) == sent[False].model_dump(exclude=hidden)
    none, registered, no_account = AccountNotice
    assert (sent[True].notice, sent[False].notice) == ((registered, none) if step in FREE else (none, no_account))
    assert sent[True].known_networks == ([] if step in FREE else KNOWN_NETWORKS)
    assert sent[False].known_networks == []
    assert sent[True].registered is (step not in FREE)


@pytest.mark.parametrize("step", WRONG_CODES)
async def test_after_proof_a_wrong_code_costs_the_same_calls_and_tells_nothing(step: str) -> None:
    outcomes = [await outcome(WRONG_CODES[step], AFTER_PROOF, registered=registered) for registered in (True, False)]

    assert [refused for refused, _ in outcomes] == [ErrorCode.CODE_REFUSED] * 2
    with_account, without = (services.calls for _, services in outcomes)
    assert with_account == without
    assert [path for path, _ in without] == [CHECK_CODE.path]


async def test_as_the_contracts_write_a_wrong_code_in_a_reset_tells_that_there_is_no_account() -> None:
    refused = {
        registered: (await outcome(WRONG_CODES["reset"], CONTRACT, registered=registered))[0]
        for registered in (True, False)
    }
    assert refused == {True: ErrorCode.CODE_REFUSED, False: ErrorCode.NO_ACCOUNT}


async def test_a_look_up_before_registration_is_charged_in_both_kinds_of_disclosure() -> None:
    for disclosure in AccountDisclosure:
        _, services = await outcome(FIRST_STEPS["check_free"], disclosure, registered=True)
        assert services.calls[-1][0] == ASK_STATUS.path
