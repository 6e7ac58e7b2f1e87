"""The words that fields of events can have: typed for our code, and listed in the document of the events.

More words may be added to each list, so a consumer treats an unknown one as "other".
"""

from typing import Any, Literal, get_args

from pydantic import Field

OpenedCause = Literal["register", "log_in_with_password", "log_in_with_code", "reset_password"]
RevokedCause = Literal[
    "ended_by_user",
    "ended_by_operator",
    "change_password",
    "change_phone",
    "reset_password",
    "crowded_out",
    "refresh_reuse",
    "ban",
    "erased",
    "retired",
    "restored",
]
LoginMethod = Literal["password", "code", "change_password", "erase", "export"]
LoginFailure = Literal["incorrect", "refused", "limited", "banned"]
PasswordCause = Literal["reset", "change"]
PurposeOfCode = Literal["sign_up", "sign_in", "reset_password", "change_phone", "erase", "export"]
Limiter = Literal[
    "cooldown", "daily_cap", "caller", "spending", "number_refused", "number_taken", "no_account", "other"
]
IncorrectReason = Literal["incorrect"]
Failure = Literal[
    "transient", "permanent", "invalid_number", "rate_limited", "refused", "misconfigured", "no_route", "circuit_open",
    "exhausted", "abandoned", "undelivered", "budget_exhausted", "cheaper_unavailable", "prefix_blocked",
]  # fmt: skip


def listed(words: Any) -> Any:
    """List the words in the document. The model takes others too: a new word must not stop an event."""
    return Field(description="More values may be added.", json_schema_extra={"enum": [*get_args(words)]})
