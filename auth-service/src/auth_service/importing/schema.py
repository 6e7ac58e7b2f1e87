"""One line of the file: a user of the other system. ``docs/moving-in.md`` describes each field."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from auth_service.accounts.user_ids import USER_IDS
from auth_service.digests.spelling import SpelledDigest, base64_bytes, hex_bytes
from auth_service.imported_sessions.model import TokenKind
from auth_service.importing.refusals import LineRefusedError, Reason
from shared.internal_api.auth import Gender, LoginName

MAX_LINE_BYTES = 65_536
EARLIEST_YEAR = 1970
"""Earlier times are how other systems write that there is none."""
BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(r"[a-z_]{1,32}(256)?")
_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"


def _empty_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _in_utc(moment: datetime) -> datetime:
    try:
        in_utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the calendar") from None
    if in_utc.year < EARLIEST_YEAR:
        raise ValueError("before there were apps")
    return in_utc


LegacyId = (
    Annotated[int, Field(strict=True, ge=USER_IDS.start, lt=USER_IDS.stop)]
    | Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
)
Nickname = Annotated[str, StringConstraints(strip_whitespace=True, max_length=256, pattern=_LINE)]
Motto = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1_600, pattern=_LINE)]
Picture = Annotated[str, StringConstraints(pattern=r"^(https?://[!-~]{1,500})?$")]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
Small = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]


DECODE: dict[str, Callable[[str], bytes]] = {"text": str.encode, "hex": hex_bytes, "base64": base64_bytes}


class Password(BaseModel):
    """A digest with its format. ``salt_encoding`` is how ``salt`` is written, ``of`` what a slow function was given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    format: str = Field(min_length=1, max_length=120)
    digest: str = Field(min_length=1, max_length=4_096, repr=False)
    salt: str = Field(default="", max_length=1_024, repr=False)
    salt_encoding: Literal["text", "hex", "base64"] = "text"
    of: str = Field(default="p", max_length=120)

    def spelled(self) -> SpelledDigest:
        """The digest for its reader. Raises ``DigestRefusedError`` for a salt that is not in its encoding."""
        return SpelledDigest(self.format, self.digest, DECODE[self.salt_encoding](self.salt), self.of)


class Session(BaseModel):
    """A session with its token, or with the SHA-256 of it. A token is what a header or a cookie can carry."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token: str | None = Field(default=None, pattern=r"^[\x21-\x7e]{1,4096}$", repr=False)
    token_sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$", repr=False)
    kind: TokenKind = TokenKind.SESSION
    client: str = Field(default="", max_length=32, pattern=_LINE)
    created_at: Moment | None = None
    expires_at: Moment | None = None

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if (self.token is None) == (self.token_sha256 is None):
            raise ValueError("token or token_sha256")
        return self


class ImportedUser(BaseModel):
    """A user. A field that is left out has the value of a new account."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: LegacyId
    phone: Annotated[str, Field(max_length=64)] | Annotated[int, Field(strict=True)] = Field(repr=False)
    name: Annotated[LoginName | None, BeforeValidator(_empty_is_none)] = None
    nickname: Annotated[Nickname | None, BeforeValidator(_empty_is_none)] = None
    gender: Gender = Gender.NONE
    motto: Motto = ""
    avatar: Picture = ""
    thumbnail: Picture = ""
    cover: Picture = ""
    email: str = Field(default="", max_length=254, pattern=_LINE, repr=False)
    level: Small = 0
    type: Small = 0
    discoverable: bool = True
    created_at: Moment | None = None
    last_seen_at: Moment | None = None
    banned: bool = False
    banned_until: Moment | None = None
    password: Password | None = Field(default=None, repr=False)
    sessions: tuple[Session, ...] = Field(default=(), repr=False)


def read_user(line: bytes) -> ImportedUser:
    """The user of a line. Raises ``LineRefusedError``."""
    if len(line) > MAX_LINE_BYTES:
        raise LineRefusedError(Reason.TOO_LONG)
    try:
        text = line.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise LineRefusedError(Reason.NOT_UTF8) from error
    try:
        return ImportedUser.model_validate_json(text)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> LineRefusedError:
    """What the first error says. The name of a field is shown, what it contains is not."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return LineRefusedError(Reason.JSON_BROKEN)
    names = [part for part in first["loc"][:3] if isinstance(part, str) and _FIELD.fullmatch(part)]
    unknown = "unknown field " if first["type"] == "extra_forbidden" else ""
    return LineRefusedError(Reason.FIELD_INVALID, unknown + ".".join(names))
