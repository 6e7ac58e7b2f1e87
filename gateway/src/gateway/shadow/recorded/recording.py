"""The format of recorded calls: a JSON object for each, one a line. ``docs/moving-in/shadow.md`` describes it."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

MAX_LINE_BYTES = 4 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
PER_MILLISECOND = 1000
EARLIEST_MILLISECONDS = 100_000_000_000
"""Greater numbers are milliseconds since 1970, smaller ones seconds."""


class BrokenLineError(Exception):
    """A line is no recorded call. ``reason`` is a word of ours, with the name of a field; it quotes nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _seconds(value: Any) -> Any:
    """Seconds since 1970 of a number, of a text with one, or of ISO 8601."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return datetime.fromisoformat(value).timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= EARLIEST_MILLISECONDS:
        return value / PER_MILLISECOND
    return value


def _lower_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


Headers = Annotated[dict[str, str], AfterValidator(_lower_names)]


class _Message(BaseModel):
    """Headers with names in lower case, and a body as a text or in base64."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    headers: Headers = Field(default_factory=dict, repr=False)
    body: str = Field(default="", repr=False)
    body_base64: str = Field(default="", repr=False)

    @model_validator(mode="after")
    def _has_one_body(self) -> "_Message":
        if self.body and self.body_base64:
            raise ValueError("body and body_base64")
        try:
            base64.b64decode(self.body_base64, validate=True)
        except binascii.Error:
            raise ValueError("body_base64") from None
        return self

    @property
    def content(self) -> bytes:
        """The body in bytes."""
        return base64.b64decode(self.body_base64) if self.body_base64 else self.body.encode(errors="surrogatepass")


class RecordedAnswer(_Message):
    """What the other back end answered."""

    status: int = Field(strict=True, ge=100, le=599)


class RecordedCall(_Message):
    """A request and its answer. ``path`` has the query; ``address`` is the client's."""

    time: Annotated[float | None, BeforeValidator(_seconds)] = None
    address: str = Field(default="", max_length=64, repr=False)
    method: str = Field(pattern="^[A-Z]{1,16}$")
    path: str = Field(pattern="^/[!-~]*$", max_length=16_384, repr=False)
    response: RecordedAnswer


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, with its number from 1. ``end`` is the offset of the next line, in bytes."""

    number: int
    content: bytes = field(repr=False)
    end: int


def read_lines(file: BinaryIO, number: int = 0, offset: int = 0) -> Iterator[Line]:
    """The lines that are not empty. One that is too long is cut one byte above the limit."""
    while content := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        offset += len(content)
        rest = content
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES + 1)
            offset += len(rest)
        if content.strip():
            yield Line(number, content, offset)


def read_call(line: bytes) -> RecordedCall:
    """The call of a line. Raises ``BrokenLineError``."""
    if len(line) > MAX_LINE_BYTES:
        raise BrokenLineError("too_long")
    try:
        text = line.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        raise BrokenLineError("not_utf8") from None
    try:
        return RecordedCall.model_validate_json(text)
    except ValidationError as error:
        raise BrokenLineError(_reason(error)) from None


def _reason(error: ValidationError) -> str:
    """What the first error says: the names of our own fields are shown, and nothing of the line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "json_broken"
    known = {*RecordedCall.model_fields, *RecordedAnswer.model_fields}
    names = [part for part in first["loc"][:2] if part in known]
    if first["type"] == "extra_forbidden":
        return "field_unknown"
    return " ".join(("field_invalid", ".".join(map(str, names)))).strip()
