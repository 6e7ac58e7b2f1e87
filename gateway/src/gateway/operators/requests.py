"""Makes the requests of operators: checks their role, records what they ask and why, and calls the service."""

from collections.abc import Mapping
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from gateway.named_operators import NamedOperator
from gateway.operators.calls import SET_BY_US, OperatorCall
from gateway.operators.refusals import RefusedRequestError, invalid_request, role_required
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.endpoint import AnyEndpoint, WireModel
from shared.internal_api.operators.accounts import RECORD_REQUEST, RecordRequest
from shared.internal_api.operators.requests import OperatorRequest, ReasonedRequest, ServiceName

MAX_DETAIL = 200
SUBJECTS = ("phone", "user_id", "session_id")
"""The fields that say whom a request is about, which the audit log has columns for."""

log = structlog.get_logger()


class ServiceClient(Protocol):
    """A client of one service."""

    async def call(self, endpoint: AnyEndpoint, request: Any, /) -> Any:
        """Make one call. Raises ``ServiceError``."""


class OperatorRequests:
    """The rules of the operator API. What cannot be recorded is not done."""

    def __init__(self, services: Mapping[ServiceName, ServiceClient]) -> None:
        self._services = services

    async def make(self, operator: NamedOperator, call: OperatorCall, fields: Mapping[str, Any]) -> WireModel:
        """The response to a request of an operator.

        Raises ``RefusedRequestError`` for a role or a field, and the ``ServiceError`` of the service.
        """
        request = read_request(operator, call, fields)
        if not isinstance(request, ReasonedRequest):
            return await self._call(call, request)
        await self._record(call, request)
        try:
            return await self._call(call, request)
        except ServiceError as refusal:
            await self._record_refusal(call, request, refusal)
            raise

    async def _call(self, call: OperatorCall, request: OperatorRequest) -> WireModel:
        service = call.service or ServiceName(getattr(request, "service", ""))
        response: WireModel = await self._services[service].call(call.endpoint, request)
        return response

    async def _record(self, call: OperatorCall, request: ReasonedRequest) -> None:
        try:
            await self._write(request, f"operator.{call.name}", _detail(request))
        except ServiceError as error:
            log.error("operator.not_recorded", operator=request.operator, call=call.name, error=error.code.value)
            raise RefusedRequestError(
                503, ErrorCode.UNAVAILABLE, "the audit log cannot be written, so nothing was done: try again"
            ) from error

    async def _record_refusal(self, call: OperatorCall, request: ReasonedRequest, refusal: ServiceError) -> None:
        try:
            await self._write(request, f"operator.{call.name}.refused", refusal.code.value)
        except ServiceError as error:
            log.error("operator.not_recorded", operator=request.operator, call=call.name, error=error.code.value)

    async def _write(self, request: ReasonedRequest, action: str, detail: str) -> None:
        subject = {name: getattr(request, name, None) for name in SUBJECTS}
        record = RecordRequest(
            operator=request.operator, reason=request.reason, action=action, detail=detail, **subject
        )
        await self._services[ServiceName.AUTH].call(RECORD_REQUEST, record)


def read_request(operator: NamedOperator, call: OperatorCall, fields: Mapping[str, Any]) -> OperatorRequest:
    """The request of an operator. Raises ``RefusedRequestError`` if their role or a field does not allow it."""
    if not operator.may_make(call.role):
        raise role_required(operator, call.role)
    if SET_BY_US & fields.keys():
        raise RefusedRequestError(400, ErrorCode.PARAMETER_INVALID, "your key says who you are", min(SET_BY_US))
    who = {"operator": operator.name, "sees_numbers": operator.sees_numbers}
    try:
        request: OperatorRequest = call.endpoint.request.model_validate({**fields, **who})
    except ValidationError as error:
        raise invalid_request(error) from None
    return request


def _detail(request: ReasonedRequest) -> str:
    """The fields of a request that the audit log has no column for, without numbers."""
    rest = request.model_dump(mode="json", exclude={"operator", "sees_numbers", "reason", *SUBJECTS}, exclude_none=True)
    return " ".join(f"{name}={_text(value)}" for name, value in rest.items())[:MAX_DETAIL]


def _text(value: object) -> str:
    return f"{len(value)} of them" if isinstance(value, list) and len(value) > 1 else str(value)
