"""The error codes of Haoma: the domain raises them, internal calls carry them, each dialect renders them."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Every expected refusal. Each dialect must render all of them."""

    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_INVALID = "parameter_invalid"
    NUMBER_REFUSED = "number_refused"
    PASSWORD_CHARACTERS = "password_characters"  # noqa: S105  a refusal, not a password
    PASSWORD_LENGTH = "password_length"  # noqa: S105
    NUMBER_TAKEN = "number_taken"
    NAME_TAKEN = "name_taken"
    NO_ACCOUNT = "no_account"
    CODE_REFUSED = "code_refused"
    CREDENTIALS_REFUSED = "credentials_refused"
    PROOF_REQUIRED = "proof_required"
    ACCOUNT_BANNED = "account_banned"
    UNAUTHENTICATED = "unauthenticated"
    APP_KEY_REFUSED = "app_key_refused"
    COOLDOWN = "cooldown"
    DAILY_CAP = "daily_cap"
    CALLER_LIMIT = "caller_limit"
    SENDING_PAUSED = "sending_paused"
    TOO_MANY_CONTACTS = "too_many_contacts"
    CONTACT_BUDGET = "contact_budget"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


STATUS: dict[ErrorCode, int] = {
    ErrorCode.PARAMETER_MISSING: 400,
    ErrorCode.PARAMETER_INVALID: 400,
    ErrorCode.NUMBER_REFUSED: 422,
    ErrorCode.PASSWORD_CHARACTERS: 422,
    ErrorCode.PASSWORD_LENGTH: 422,
    ErrorCode.NUMBER_TAKEN: 409,
    ErrorCode.NAME_TAKEN: 409,
    ErrorCode.NO_ACCOUNT: 404,
    ErrorCode.CODE_REFUSED: 403,
    ErrorCode.CREDENTIALS_REFUSED: 403,
    ErrorCode.PROOF_REQUIRED: 403,
    ErrorCode.ACCOUNT_BANNED: 403,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.APP_KEY_REFUSED: 401,
    ErrorCode.COOLDOWN: 429,
    ErrorCode.DAILY_CAP: 429,
    ErrorCode.CALLER_LIMIT: 429,
    ErrorCode.SENDING_PAUSED: 503,
    ErrorCode.TOO_MANY_CONTACTS: 422,
    ErrorCode.CONTACT_BUDGET: 429,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}
"""The HTTP status of each refusal between services, and in the ``native`` dialect."""

OUTAGES = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL})
"""Refusals that are no fault of the caller, who may try again."""


class ServiceError(Exception):
    """An expected refusal. Any other exception that leaves a handler is a bug.

    ``retry_after`` is in whole seconds, at least 1; the refusal of an outage always has one. ``field`` is the name of
    the wrong parameter, never its value. ``tries_left`` is how often the holder of a challenge may still enter its
    code: at 0 no code passes it any more, and a new one helps. ``is_limited`` says in its place that a new one does not
    help: too many incorrect codes count on the number or on the caller's network.
    """

    def __init__(
        self,
        code: ErrorCode,
        *,
        retry_after: int | None = None,
        field: str | None = None,
        tries_left: int | None = None,
        is_limited: bool = False,
    ) -> None:
        super().__init__(code.value)
        self.code = code
        self.retry_after = 1 if retry_after is None and code in OUTAGES else retry_after
        self.field = field
        self.tries_left = tries_left
        self.is_limited = is_limited


def unavailable(retry_after: int = 1) -> ServiceError:
    """The refusal for a dependency that is down, or for a service that sheds load."""
    return ServiceError(ErrorCode.UNAVAILABLE, retry_after=retry_after)


def is_outage(error: BaseException) -> bool:
    """Whether work failed only because something that it needs is unavailable. The same work may succeed later."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_outage, error.exceptions))
    return isinstance(error, ServiceError) and error.code is ErrorCode.UNAVAILABLE
