"""What an operator asks about: a number in any spelling and of any country, or an id."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.internal_api.endpoint import WireModel
from shared.phone import E164, parse_any
from shared.spelling import MAX_SPELLING
from sms_service.retention import MESSAGE_DAYS


class ExplainRequest(WireModel):
    """Why no code? Asked by exactly one of the first three; the number is shown to who asks by number."""

    phone: str | None = Field(default=None, max_length=MAX_SPELLING, repr=False)
    verification_id: UUID | None = None
    message_id: UUID | None = None
    days: int = Field(default=MESSAGE_DAYS, ge=1, le=MESSAGE_DAYS)

    @model_validator(mode="after")
    def _is_one_question(self) -> Self:
        if sum(each is not None for each in (self.phone, self.verification_id, self.message_id)) != 1:
            raise ValueError("exactly one of phone, verification_id and message_id")
        return self

    @property
    def about(self) -> E164 | UUID:
        """What it is about. Raises ``ServiceError(NUMBER_REFUSED)``."""
        return self.verification_id or self.message_id or parse_any(self.phone or "")


def identity_of(text: str) -> UUID | None:
    """The id of a verification or message, if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None
