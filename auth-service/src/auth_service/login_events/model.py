"""What the audit log says about log-ins, and the events made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from auth_service.accounts.events import SOURCE
from shared.events.envelope import OutboxMessage, new_event
from shared.events.logins import LoginFailed, LoginUnfamiliar
from shared.events.words import LoginFailure, LoginMethod, OpenedCause
from shared.phone import ref_hex

FAILURES: Mapping[str, tuple[LoginMethod, LoginFailure]] = {
    "log_in_with_password.refused": ("password", "incorrect"),
    "log_in_with_password.limited": ("password", "limited"),
    "log_in_with_password.banned": ("password", "banned"),
    "log_in_with_code.refused": ("code", "refused"),
    "log_in_with_code.banned": ("code", "banned"),
    "change_password.refused": ("change_password", "incorrect"),
    "change_password.limited": ("change_password", "limited"),
    "erase.refused": ("erase", "incorrect"),
    "erase.code_refused": ("erase", "refused"),
    "erase.limited": ("erase", "limited"),
    "export.refused": ("export", "incorrect"),
    "export.code_refused": ("export", "refused"),
    "export.limited": ("export", "limited"),
}
"""The actions of the audit log that are failed log-ins. A wrong present password in a session is one."""

LOG_INS = (
    "log_in_with_password.succeeded",
    "log_in_with_code.succeeded",
    "register.repeated",
    "reset_password.succeeded",
    "reset_password.repeated",
)
"""The actions that open a session of a user who exists already."""

REGISTERED = "register.succeeded"
"""The action with which a client is known from the beginning."""


@dataclass(frozen=True, slots=True)
class FailedLogins:
    """The failures of one kind, at one number, from one network, within one minute. ``network`` may be empty."""

    action: str
    phone_ref: int
    network: str
    user_id: int | None
    dialect: str
    client: str
    failures: int
    first_at: datetime
    last_at: datetime

    def event(self) -> OutboxMessage:
        """``auth.login.failed``."""
        method, reason = FAILURES[self.action]
        data = LoginFailed(
            phone_ref=ref_hex(self.phone_ref),
            user_id=str(self.user_id) if self.user_id else None,
            method=method,
            reason=reason,
            network=self.network or None,
            dialect=self.dialect,
            client=self.client,
            failures=self.failures,
            first_at=self.first_at,
            last_at=self.last_at,
        )
        return new_event(data, source=SOURCE, subject=data.phone_ref, version=1)


@dataclass(frozen=True, slots=True)
class UnfamiliarLogin:
    """A log-in with a client, or from a network, that its user had not used before."""

    action: str
    user_id: int
    session_id: UUID | None
    network: str
    dialect: str
    client: str
    at: datetime
    is_new_client: bool
    is_new_network: bool

    def event(self) -> OutboxMessage:
        """``auth.login.unfamiliar``."""
        data = LoginUnfamiliar(
            user_id=str(self.user_id),
            session_id=str(self.session_id) if self.session_id else None,
            cause=cast("OpenedCause", self.action.partition(".")[0]),
            network=self.network or None,
            dialect=self.dialect,
            client=self.client,
            new_client=self.is_new_client,
            new_network=self.is_new_network,
            at=self.at,
        )
        return new_event(data, source=SOURCE, subject=data.user_id, version=1)
