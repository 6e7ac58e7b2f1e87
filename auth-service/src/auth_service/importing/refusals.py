"""Why a line of the file was not imported."""

from enum import StrEnum


class Reason(StrEnum):
    """The reasons in the file of errors. ``docs/moving-in.md`` says what to do about each."""

    NOT_UTF8 = "not_utf8"
    TOO_LONG = "too_long"
    JSON_BROKEN = "json_broken"
    FIELD_INVALID = "field_invalid"
    NUMBER_REFUSED = "number_refused"
    NUMBER_TAKEN = "number_taken"
    NAME_TAKEN = "name_taken"
    ID_TAKEN = "id_taken"
    TOKEN_TAKEN = "token_taken"  # noqa: S105  a word, not a token
    TOKEN_GUESSABLE = "token_guessable"  # noqa: S105  as above
    PASSWORD_FORMAT_UNKNOWN = "password_format_unknown"  # noqa: S105  a word, not a password
    PASSWORD_MALFORMED = "password_malformed"  # noqa: S105  as above
    PASSWORD_PEPPER_UNKNOWN = "password_pepper_unknown"  # noqa: S105  as above
    PASSWORD_TOO_COSTLY = "password_too_costly"  # noqa: S105  as above
    PASSWORD_TOO_SLOW = "password_too_slow"  # noqa: S105  as above


class LineRefusedError(Exception):
    """A line is not imported. ``detail`` names a field or a value of ours, and quotes nothing of the line."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
