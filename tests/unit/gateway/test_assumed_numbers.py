"""Which requests for a code go to sms-service before auth-service is asked, and what follows if the number is active."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest
from support.accounts import account

from gateway.flows.composition import Flows, compose_flows
from gateway.flows.disclosure import AccountDisclosure
from gateway.flows.services import Caller
from gateway.flows.session_cache import Session
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOOK_UP, LookedUp
from shared.internal_api.sms import (
    ASK_STATUS,
    ISSUE_CODE,
    ISSUE_TO_INACTIVE,
    CodeIssued,
    IssueCode,
    IssuedToInactive,
    Purpose,
    Status,
)
from shared.keys import KeyRing
from shared.phone import E164

OWN, NUMBER = E164("+8613900139000"), E164("+8613800138000")
CALLER = Caller(ip_address("203.0.113.7"), "native", "test", 60, 10)
SESSION = Session(session_id=UUID(int=1), account=account(phone=OWN))
ISSUED = CodeIssued(verification_id=UUID(int=1), expires_in=300, resend_after=60)
NOT_ASKED, ASKED = [ISSUE_TO_INACTIVE.path], [LOOK_UP.path, ISSUE_CODE.path]


@dataclass
class Services:
    """auth-service with these numbers, sms-service with these active ones, and the filter of the gateway."""

    registered: Collection[E164] = ()
    active: Collection[E164] = ()
    filtered: Sequence[E164] = (OWN,)
    refusal: ErrorCode | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def may_contain(self, number: E164) -> bool:
        return number in self.filtered

    def add(self, number: E164) -> None:
        self.filtered = [*self.filtered, number]

    async def call(self, endpoint: Any, request: Any) -> Any:
        self.calls.append((endpoint.path, request))
        if endpoint is LOOK_UP:
            found = [phone in self.registered for phone in request.phones]
            return LookedUp(registered=found, known_networks=[[7] if each else [] for each in found])
        assert isinstance(request, endpoint.request)
        refusal = request.refuse or self.refusal
        if endpoint is ISSUE_TO_INACTIVE and request.phone in self.active:
            return IssuedToInactive(issued=None)
        if refusal is not None:
            raise ServiceError(refusal)
        if endpoint is ASK_STATUS:
            return Status()
        return IssuedToInactive(issued=ISSUED) if endpoint is ISSUE_TO_INACTIVE else ISSUED

    def flows(self, disclosure: AccountDisclosure = AccountDisclosure.CONTRACT) -> Flows:
        return compose_flows(
            auth=self,
            sms=self,
            contacts=self,
            seal_keys=KeyRing.parse("1:" + "a1" * 32),
            served_calling_codes=("86",),
            refuse_common_passwords=False,
            account_disclosure=disclosure,
            number_filter=self,
        )

    async def send(
        self,
        purpose: Purpose = Purpose.SIGN_UP,
        *,
        session: Session | None = None,
        caller: Caller = CALLER,
        disclosure: AccountDisclosure = AccountDisclosure.CONTRACT,
        flows: Flows | None = None,
    ) -> CodeIssued | ErrorCode:
        codes = (flows or self.flows(disclosure)).codes
        try:
            return await codes.send(caller, NUMBER, purpose, session=session)
        except ServiceError as error:
            return error.code

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.calls]


async def test_a_number_that_is_not_in_the_filter_gets_its_code_with_one_call() -> None:
    services = Services()
    assert await services.send() == ISSUED
    assert services.paths == NOT_ASKED


@pytest.mark.parametrize("active", [(), (NUMBER,)], ids=["it got a code", "it had activity"])
async def test_the_next_request_for_the_number_makes_no_call_in_vain(active: Collection[E164]) -> None:
    services = Services(active=active)
    await services.send()
    services.calls.clear()

    await services.send()

    assert services.paths == ASKED


async def test_the_request_is_the_one_that_a_number_without_an_account_gets_after_the_question() -> None:
    short, long = Services(), Services(filtered=(NUMBER,))
    await short.send()
    await long.send()
    assert long.paths == ASKED
    assert short.calls[-1][1] == long.calls[-1][1]


@pytest.mark.parametrize(
    ("registered", "expected"), [((), ISSUED), ((NUMBER,), ErrorCode.NUMBER_TAKEN)], ids=["free", "taken"]
)
@pytest.mark.parametrize("filtered", [(), (NUMBER,)], ids=["late", "full"])
async def test_with_activity_auth_service_says_whether_the_number_is_free(
    filtered: Sequence[E164], registered: Collection[E164], expected: object
) -> None:
    services = Services(registered=registered, active=(NUMBER,), filtered=filtered)
    assert await services.send() == expected
    assert services.paths == ([] if filtered else NOT_ASKED) + ASKED
    request: IssueCode = services.calls[-1][1]
    assert request.registered is bool(registered)


@pytest.mark.parametrize("code", [ErrorCode.CALLER_LIMIT, ErrorCode.SENDING_PAUSED, ErrorCode.UNAVAILABLE])
async def test_a_refusal_of_the_first_call_is_the_answer(code: ErrorCode) -> None:
    services = Services(refusal=code)
    assert await services.send() is code
    assert services.paths == NOT_ASKED


@pytest.mark.parametrize("session", [None, SESSION], ids=["an address", "a user"])
@pytest.mark.parametrize("filtered", [(), (NUMBER,)], ids=["by the short way", "by the long way"])
async def test_a_caller_over_the_limit_goes_the_long_way_for_every_number_so_that_time_tells_nothing(
    session: Session | None, filtered: Sequence[E164]
) -> None:
    purpose = Purpose.SIGN_UP if session is None else Purpose.CHANGE_PHONE
    services = Services(filtered=filtered, refusal=ErrorCode.CALLER_LIMIT)
    flows = services.flows()
    assert await services.send(purpose, session=session, flows=flows) is ErrorCode.CALLER_LIMIT

    services.filtered = ()
    services.calls.clear()
    assert await services.send(purpose, session=session, flows=flows) is ErrorCode.CALLER_LIMIT
    assert services.paths == ASKED

    services.calls.clear()
    other = replace(CALLER, address=ip_address("198.51.100.7"))
    await services.send(caller=other, flows=flows)
    assert services.paths == NOT_ASKED


async def test_other_refusals_do_not_send_a_caller_the_long_way() -> None:
    services = Services(refusal=ErrorCode.SENDING_PAUSED)
    flows = services.flows()
    await services.send(flows=flows)
    services.calls.clear()
    await services.send(flows=flows)
    assert services.paths == NOT_ASKED


async def test_a_new_number_of_a_user_need_not_be_asked_for_and_their_own_must() -> None:
    services = Services()
    assert await services.send(Purpose.CHANGE_PHONE, session=SESSION) == ISSUED
    assert services.paths == NOT_ASKED
    assert services.calls[0][1].user_id == SESSION.account.user_id

    services = Services(registered=(NUMBER,))
    own = replace(SESSION, account=account(phone=NUMBER))
    assert await services.send(Purpose.CHANGE_PHONE, session=own) == ISSUED
    assert services.paths == ASKED


@pytest.mark.parametrize("purpose", [Purpose.SIGN_IN, Purpose.RESET_PASSWORD, Purpose.CHANGE_PHONE])
async def test_a_code_for_an_account_is_never_sent_without_the_question(purpose: Purpose) -> None:
    services = Services(registered=(NUMBER,))
    assert await services.send(purpose) == ISSUED
    assert services.paths == ASKED


async def test_after_proof_every_number_is_asked_for_so_that_time_tells_nothing() -> None:
    for registered in ((), (NUMBER,)):
        services = Services(registered=registered)
        assert await services.send(disclosure=AccountDisclosure.AFTER_PROOF) == ISSUED
        assert services.paths == ASKED


async def test_callers_of_an_apps_server_go_the_long_way() -> None:
    services = Services()
    assert await services.send(caller=replace(CALLER, app="shop")) == ISSUED
    assert services.paths == ASKED
