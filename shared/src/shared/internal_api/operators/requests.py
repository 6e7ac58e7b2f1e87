"""What every request of an operator has: who asks, and why.

The operator API of the gateway is the only caller. It has recognised the operator, and sets ``operator`` and
``sees_numbers`` by their role.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from shared.errors import ServiceError
from shared.internal_api.endpoint import WireModel
from shared.phone import E164, hide_numbers, parse_any

MAX_REASON = 200


def _has_no_number(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable characters")
    if hide_numbers(text) != text:
        raise ValueError("write no phone number into the audit log")
    return text


def _parse_number(value: Any) -> E164:
    try:
        return parse_any(str(value))
    except ServiceError:
        raise ValueError("this is no phone number") from None


OperatorName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.-]{0,31}$")]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON),
    AfterValidator(_has_no_number),
]
"""Why an operator does something, such as a ticket number, for the audit log."""

AnyNumber = Annotated[E164, BeforeValidator(_parse_number)]
"""A number of any country, as people write it."""


class ServiceName(StrEnum):
    """A service that operators ask something of."""

    AUTH = "auth-service"
    SMS = "sms-service"
    CONTACTS = "contacts-service"


class OperatorRequest(WireModel):
    """What an operator asks. Clear numbers are in the response only if ``sees_numbers``."""

    operator: OperatorName
    sees_numbers: bool = False


class ReasonedRequest(OperatorRequest):
    """A request about a person, or one that changes something. It takes a reason."""

    reason: Reason = Field(description="why, for the audit log, such as a ticket number")
