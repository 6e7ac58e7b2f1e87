"""Refusals of a body, and their reasons where a word on it helps the client's developer."""

from enum import StrEnum
from typing import NoReturn, TypeVar

from shared.errors import ErrorCode, ServiceError

ValueT = TypeVar("ValueT")


class BodyFault(StrEnum):
    """Why a body cannot be read, where a word on it helps the client's developer."""

    MEDIA_TYPE = "media_type"
    CHARSET = "charset"
    COMPRESSED = "compressed"
    JSON_AS_FORM = "json_as_form"
    FILE = "file"


class BodyError(ServiceError):
    """A refusal of a body, with its reason: problem documents explain it."""

    def __init__(
        self, fault: BodyFault, code: ErrorCode = ErrorCode.PARAMETER_INVALID, *, field: str | None = None
    ) -> None:
        super().__init__(code, field=field)
        self.fault = fault


def refuse() -> NoReturn:
    """Raise ``PARAMETER_INVALID`` without a cause: a parser's error may quote the input."""
    raise ServiceError(ErrorCode.PARAMETER_INVALID) from None


def without_repeats(pairs: list[tuple[str, ValueT]]) -> dict[str, ValueT]:
    """The fields of a body by name. Raises ``PARAMETER_INVALID`` for a repeated name."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        refuse()
    return fields
