"""The events for those who look for fraud: failed and unfamiliar log-ins, and bans."""

from datetime import datetime
from typing import Annotated

from shared.events.envelope import EventData
from shared.events.words import LoginFailure, LoginMethod, OpenedCause, listed


class LoginFailed(EventData):
    """Log-ins at a number failed: all of one kind, from one network, within one minute of the clock.

    ``user_id`` is absent for a number without an account, ``network`` where it is not known. ``method``
    ``change_password`` is a wrong present password in a session, ``erase`` one that was to confirm an erasure.
    ``dialect`` and ``client`` are of one of the failures. ``limited`` says that callers went on beyond a limit: however
    often they did, it counts about one a minute.
    """

    key = "auth.login.failed.v1"
    subject_field = "phone_ref"

    phone_ref: str
    user_id: str | None = None
    method: Annotated[str, listed(LoginMethod)]
    reason: Annotated[str, listed(LoginFailure)]
    failures: int
    first_at: datetime
    last_at: datetime
    network: str | None = None
    dialect: str
    client: str


class LoginUnfamiliar(EventData):
    """A user logged in with a client (``new_client``) or from a network (``new_network``) that is new to them.

    ``session_id`` is absent if the session has ended already, ``network`` where it is not known.
    """

    key = "auth.login.unfamiliar.v1"
    subject_field = "user_id"

    user_id: str
    session_id: str | None = None
    cause: Annotated[str, listed(OpenedCause)]
    new_client: bool
    new_network: bool
    at: datetime
    network: str | None = None
    dialect: str
    client: str


class BanData(EventData):
    subject_field = "user_id"

    user_id: str


class BanImposed(BanData):
    """An operator banned the account: it cannot log in, and ``sessions_revoked`` sessions ended."""

    key = "auth.ban.imposed.v1"

    sessions_revoked: int


class BanLifted(BanData):
    """An operator lifted a ban: the account can log in again."""

    key = "auth.ban.lifted.v1"
