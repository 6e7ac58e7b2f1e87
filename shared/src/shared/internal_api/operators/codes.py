"""The internal API of operators, continued: why a number gets no code, and what lets it get one again."""

from typing import Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.internal_api.endpoint import Endpoint, WireModel
from shared.internal_api.operators.requests import AnyNumber, ReasonedRequest
from shared.internal_api.principals import Principal


class ExplainCodes(ReasonedRequest):
    """Explain step by step why a number got no code (docs/operations/explain.md)."""

    phone: AnyNumber | None = Field(default=None, repr=False, description="the number, in any spelling")
    verification_id: UUID | None = Field(default=None, description="the id of a verification")
    message_id: UUID | None = Field(default=None, description="the id of a message")
    days: int = Field(default=30, ge=1, le=30, description="how many days to look back (default: 30)")

    @model_validator(mode="after")
    def _has_one_subject(self) -> Self:
        if sum(each is not None for each in (self.phone, self.verification_id, self.message_id)) != 1:
            raise ValueError("say exactly one of phone, verification_id and message_id")
        return self


class Explained(WireModel):
    """The report as ``explain --json`` prints it. Its number is masked without the right to see it."""

    report: dict[str, Any] = Field(repr=False)


class LiftCodeLimits(ReasonedRequest):
    """Let a number get codes and enter them again: forget its codes and incorrect codes of the last 24 hours.

    What callers may send and enter at all numbers together stays limited.
    """

    phone: AnyNumber = Field(repr=False, description="the number, in any spelling")


class UnblockPrefix(ReasonedRequest):
    """Unblock a prefix that spending throttles or blocks, and forget its earlier blocks and traffic."""

    scope: str = Field(
        pattern=r"^(range|network|country):\+[0-9]{1,15}$", description="as spending shows it, such as range:+861380013"
    )


class Lifted(WireModel):
    """``changed`` is False if there was nothing to lift."""

    changed: bool


EXPLAIN_CODES = Endpoint("/v1/operators/explain", ExplainCodes, Explained, Principal.OPERATOR)
LIFT_CODE_LIMITS = Endpoint("/v1/operators/lift-code-limits", LiftCodeLimits, Lifted, Principal.OPERATOR)
UNBLOCK_PREFIX = Endpoint("/v1/operators/unblock-prefix", UnblockPrefix, Lifted, Principal.OPERATOR)
