"""What an operator can ask about: a number in any format and of any country, or an id."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.internal_api.endpoint import WireModel
from shared.numbers.spelling import MAX_SPELLING
from shared.phone import E164, parse_any
from sms_service.retention import MESSAGE_DAYS

EXPLAIN_PATH = "/v1/explain"
"""The operator token opens this path, and the services' token does not."""


class ExplainRequest(WireModel):
    """A request for a report by exactly one of number, verification id and message id."""

    phone: str | None = Field(default=None, max_length=MAX_SPELLING, repr=False)
    verification_id: UUID | None = None
    message_id: UUID | None = None
    days: int = Field(default=MESSAGE_DAYS, ge=1, le=MESSAGE_DAYS)

    @model_validator(mode="after")
    def _has_one_subject(self) -> Self:
        if sum(each is not None for each in (self.phone, self.verification_id, self.message_id)) != 1:
            raise ValueError("exactly one of phone, verification_id and message_id")
        return self

    @property
    def subject(self) -> E164 | UUID:
        """The number or the id. Raises ``ServiceError(NUMBER_REFUSED)`` for text that is no number."""
        return self.verification_id or self.message_id or parse_any(self.phone or "")


def parse_id(text: str) -> UUID | None:
    """The id of a verification or message; None if the text is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
