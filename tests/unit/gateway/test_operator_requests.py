"""The rules of the operator API: roles, reasons, the record of every request, and refusals that quote nothing."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from gateway.named_operators import NamedOperator, Role
from gateway.operators.calls import CALLS
from gateway.operators.refusals import RefusedRequestError
from gateway.operators.requests import OperatorRequests
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.endpoint import AnyEndpoint, Empty
from shared.internal_api.operators.accounts import RECORD_REQUEST, RecordRequest
from shared.internal_api.operators.requests import OperatorRequest, ReasonedRequest, ServiceName

ADA = NamedOperator("ada", Role.OPERATOR, b"")
SAM = NamedOperator("sam", Role.SUPPORT, b"")
NUMBER = "+8613800138000"
SUBJECT = {"phone": "138 0013 8000", "reason": "ticket 4711"}
SERVICE = {"service": "sms-service"}
ONE = UUID(int=1)
FIELDS: dict[str, dict[str, Any]] = {
    "audit": {"by": "ada", "reason": "a review"},
    "explain": SUBJECT,
    "unblock": {"scope": "range:+861380013", "reason": "a campaign"},
    "senders": {},
    "test-message": SUBJECT | {"sender": "mainland"},
    "parked": SERVICE,
    "show-parked": SERVICE | {"id": str(ONE)},
    "replay": SERVICE | {"everything": True, "reason": "mended"},
    "drop": SERVICE | {"ids": [str(ONE)], "reason": "not ours"},
}
"""Valid fields of each call that is not about an account."""


class Services:
    """All services at once: they remember what they were asked, and refuse what the test says."""

    def __init__(self, **refusals: ServiceError) -> None:
        self.requests: list[tuple[str, BaseModel]] = []
        self._refusals = refusals

    async def call(self, endpoint: AnyEndpoint, request: Any, /) -> Any:
        name = "record" if endpoint is RECORD_REQUEST else "call"
        self.requests.append((name, request))
        if name in self._refusals:
            raise self._refusals[name]
        return Empty()

    @property
    def records(self) -> list[RecordRequest]:
        return [request for name, request in self.requests if name == "record" and isinstance(request, RecordRequest)]

    async def make(self, operator: NamedOperator, name: str, **fields: Any) -> None:
        requests = OperatorRequests(dict.fromkeys(ServiceName, self))
        await requests.make(operator, CALLS[name], fields or FIELDS.get(name, SUBJECT))


async def refused(services: Services, operator: NamedOperator, name: str, **fields: Any) -> RefusedRequestError:
    with pytest.raises(RefusedRequestError) as refusal:
        await services.make(operator, name, **fields)
    return refusal.value


@pytest.mark.parametrize("name", CALLS)
async def test_support_looks_and_changes_nothing(name: str) -> None:
    services = Services()
    if CALLS[name].role is Role.SUPPORT:
        await services.make(SAM, name)
        assert services.requests
    else:
        refusal = await refused(services, SAM, name)
        assert (refusal.status, refusal.detail) == (403, "this call takes the role operator, and yours is support")
        assert services.requests == []


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("operator", [ADA, SAM], ids=lambda each: each.name)
async def test_only_operators_are_sent_clear_numbers(operator: NamedOperator, name: str) -> None:
    services = Services()
    if operator.may_make(CALLS[name].role):
        await services.make(operator, name)
        (request,) = [request for kind, request in services.requests if kind == "call"]
        assert isinstance(request, OperatorRequest)
        assert (request.operator, request.sees_numbers) == (operator.name, operator is ADA)


def test_every_call_that_support_cannot_make_takes_a_reason() -> None:
    changes = [call for call in CALLS.values() if call.role is Role.OPERATOR]
    assert [call.name for call in changes if not issubclass(call.endpoint.request, ReasonedRequest)] == []


def test_every_call_that_may_name_a_person_takes_a_reason() -> None:
    requests = {call.name: call.endpoint.request for call in CALLS.values()}
    about_people = {name for name, request in requests.items() if {"phone", "user_id"} & request.model_fields.keys()}
    assert about_people >= {"find", "explain", "audit", "test-message"}
    assert [name for name in about_people if not issubclass(requests[name], ReasonedRequest)] == []


@pytest.mark.parametrize("name", [name for name in CALLS if issubclass(CALLS[name].endpoint.request, ReasonedRequest)])
async def test_a_request_with_a_reason_is_recorded_before_it_is_made(name: str) -> None:
    services = Services()
    await services.make(ADA, name)
    assert [kind for kind, _ in services.requests] == ["record", "call"]
    (record,) = services.records
    assert (record.operator, record.action) == ("ada", f"operator.{name}")
    assert record.reason
    assert NUMBER[3:] not in record.detail


async def test_what_cannot_be_recorded_is_not_done() -> None:
    services = Services(record=unavailable())
    refusal = await refused(services, ADA, "ban")
    assert (refusal.status, [kind for kind, _ in services.requests]) == (503, ["record"])
    assert "nothing was done" in refusal.detail


async def test_a_refusal_is_recorded_too() -> None:
    services = Services(call=ServiceError(ErrorCode.NOT_FOUND))
    with pytest.raises(ServiceError):
        await services.make(ADA, "ban")
    assert [(each.action, each.detail) for each in services.records] == [
        ("operator.ban", ""),
        ("operator.ban.refused", "not_found"),
    ]


@pytest.mark.parametrize("field", ["operator", "sees_numbers"])
async def test_no_one_says_themselves_who_they_are(field: str) -> None:
    services = Services()
    with pytest.raises(RefusedRequestError) as refusal:
        await OperatorRequests(dict.fromkeys(ServiceName, services)).make(SAM, CALLS["find"], SUBJECT | {field: "ada"})
    assert (refusal.value.status, refusal.value.detail) == (400, "your key says who you are")
    assert services.requests == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "reason"),
        ({"phone": NUMBER}, "reason"),
        ({"phone": NUMBER, "reason": ""}, "reason"),
        ({"phone": NUMBER, "reason": f"call {NUMBER}"}, "reason"),
        ({"phone": "13800138000x", "reason": "x"}, "phone"),
        ({"user_id": NUMBER + "x", "reason": "x"}, "user_id"),
        ({"session_id": NUMBER, "reason": "x"}, "session_id"),
        ({"phone": NUMBER, "user_id": 1, "reason": "x"}, ""),
        ({"reason": "x"}, ""),
        ({"phone": NUMBER, "reason": "x", "number": NUMBER}, "number"),
    ],
)
async def test_a_refusal_names_the_field_and_quotes_nothing(fields: dict[str, Any], field: str) -> None:
    services = Services()
    with pytest.raises(RefusedRequestError) as refusal:
        await OperatorRequests(dict.fromkeys(ServiceName, services)).make(SAM, CALLS["find"], fields)
    assert (refusal.value.field, refusal.value.status) == (field, 400)
    assert refusal.value.detail
    assert NUMBER[3:] not in refusal.value.detail
    assert services.requests == []


@pytest.mark.parametrize(
    ("fields", "field", "detail"),
    [
        ({"until": "2020-01-01T00:00:00Z"}, "until", "this time is over"),
        ({"until": "2036-01-01T00:00:00"}, "until", "with its zone, such as"),
        ({"until": "yesterday"}, "until", "with its zone, such as"),
        ({"user_id": "seven"}, "user_id", "no whole number"),
        ({"session_id": "seven"}, "session_id", "no id, such as"),
    ],
)
async def test_a_refusal_says_which_form_a_value_has(fields: dict[str, Any], field: str, detail: str) -> None:
    services = Services()
    refusal = await refused(services, ADA, "ban", **{"phone": NUMBER, "reason": "x"} | fields)
    assert (refusal.field, detail in refusal.detail) == (field, True), refusal.detail
    assert services.requests == []
