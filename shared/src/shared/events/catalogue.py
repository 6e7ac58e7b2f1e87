"""Every event of Haoma, declared once, under a versioned key."""

from typing import Annotated, Literal

from shared.events.envelope import EventData
from shared.events.logins import BanImposed, BanLifted, LoginFailed, LoginUnfamiliar
from shared.events.words import (
    Failure,
    IncorrectReason,
    Limiter,
    OpenedCause,
    PasswordCause,
    PurposeOfCode,
    RevokedCause,
    listed,
)


class UserSnapshot(EventData):
    """A user as other services may know them. Apply it only if its ``version`` is newer than the one you have."""

    subject_field = "user_id"

    user_id: str
    phone_ref: str
    phone_masked: str
    country: str
    nickname: str
    avatar: str
    discoverable: bool
    disabled: bool
    dialect: str
    client: str


class UserRegistered(UserSnapshot):
    """An account was registered."""

    key = "auth.user.registered.v1"


class UserUpdated(UserSnapshot):
    """The profile, the number, ``discoverable`` or a ban changed."""

    key = "auth.user.updated.v1"


class UserDeleted(UserSnapshot):
    """The account was deleted and its number is free. An older event must not restore it.

    ``phone_ref``, ``phone_masked`` and ``country`` are empty if the account was retired: the number is not its own.
    """

    key = "auth.user.deleted.v1"


class UserRetired(UserSnapshot):
    """The account keeps its id and has no number any more: someone else registered it, or an operator released it.

    ``phone_ref`` is the number that it had. A later ``auth.user.updated`` gives it a number again.
    """

    key = "auth.user.retired.v1"


class PasswordChanged(EventData):
    """The password was reset with a code, or changed in a session. ``sessions_revoked`` sessions ended."""

    key = "auth.password.changed.v1"
    subject_field = "user_id"

    user_id: str
    cause: Annotated[str, listed(PasswordCause)]
    sessions_revoked: int


class SessionData(EventData):
    subject_field = "session_id"

    user_id: str
    session_id: str
    client: str


class SessionOpened(SessionData):
    """A user logged in. ``cause`` is how."""

    key = "auth.session.opened.v1"

    cause: Annotated[str, listed(OpenedCause)]


class SessionRevoked(SessionData):
    """A session ended before it expired. ``cause`` is why."""

    key = "auth.session.revoked.v1"

    cause: Annotated[str, listed(RevokedCause)]


class CodeRequestData(EventData):
    purpose: Annotated[str, listed(PurposeOfCode)]
    phone_ref: str
    phone_masked: str
    country: str
    dialect: str
    test_number: bool = False


class VerificationData(CodeRequestData):
    subject_field = "verification_id"

    verification_id: str


class VerificationRequested(VerificationData):
    """A code was requested and its message was queued."""

    key = "sms.verification.requested.v1"


class VerificationRefused(CodeRequestData):
    """A request for a code was refused, so there is no verification."""

    key = "sms.verification.refused.v1"
    subject_field = "phone_ref"

    limiter: Annotated[str, listed(Limiter)]
    retry_after: int


class VerificationSucceeded(VerificationData):
    """The code was correct: the number is verified."""

    key = "sms.verification.succeeded.v1"


class VerificationFailed(VerificationData):
    """The code was incorrect. ``tries_left`` is how many more codes its caller may enter."""

    key = "sms.verification.failed.v1"

    reason: Annotated[str, listed(IncorrectReason)]
    tries_left: int


class MessageData(EventData):
    subject_field = "message_id"

    message_id: str
    verification_id: str
    sender: str
    latency_ms: int


class MessageSent(MessageData):
    """A sender accepted the message. ``segments`` is its number of SMS segments, which carriers bill."""

    key = "sms.message.sent.v1"

    segments: int = 1


class MessageDelivered(MessageData):
    """The sender reported that the message reached the phone."""

    key = "sms.message.delivered.v1"


class MessageFailed(MessageData):
    """The message was refused or lost. ``failure`` is the class of the reason."""

    key = "sms.message.failed.v1"

    failure: Annotated[str, listed(Failure)]


class MessageExpired(MessageData):
    """The code expired before the message could be sent."""

    key = "sms.message.expired.v1"


class PrefixData(EventData):
    subject_field = "scope"

    scope: str
    kind: Literal["range", "network", "country"]
    prefix: str
    sent: int
    verified: int
    spent_micros: int
    currency: str
    enforced: bool
    seconds: int


class PrefixFlagged(PrefixData):
    """Users verified too few of the codes that a prefix got in the last hour. Its messages still go out."""

    key = "sms.prefix.flagged.v1"


class PrefixThrottled(PrefixData):
    """A prefix gets a few messages a minute for at least ``seconds``. Without ``enforced`` all of them still go out."""

    key = "sms.prefix.throttled.v1"


class PrefixBlocked(PrefixData):
    """A prefix gets no messages for ``seconds``. Without ``enforced`` all of them still go out."""

    key = "sms.prefix.blocked.v1"


class PrefixCleared(PrefixData):
    """The stages of a prefix have ended: it gets messages like any other prefix."""

    key = "sms.prefix.cleared.v1"


class BudgetData(EventData):
    subject_field = "scope"

    scope: str
    prefix: str
    span: Literal["hour", "day"]
    spent_micros: int
    limit_micros: int
    currency: str
    seconds: int


class BudgetWarned(BudgetData):
    """A budget is spent up to its warning threshold. Its window ends in ``seconds``."""

    key = "sms.budget.warned.v1"


class BudgetReserved(BudgetData):
    """What is left of a budget is kept for known callers: strangers get no message for ``seconds``."""

    key = "sms.budget.reserved.v1"


class BudgetExhausted(BudgetData):
    """A budget cannot pay for the cheapest message: its prefix gets none for ``seconds``, when the window ends."""

    key = "sms.budget.exhausted.v1"


class BudgetRenewed(BudgetData):
    """A budget can pay again for everyone: a new window began, or its limit or its spending changed."""

    key = "sms.budget.renewed.v1"


class ContactsMatched(EventData):
    """A user sent an address book: how many numbers, how many of them new, how many of them members."""

    key = "contacts.matched.v1"
    subject_field = "user_id"

    user_id: str
    submitted: int
    charged: int
    matched: int


EVENTS: tuple[type[EventData], ...] = (
    UserRegistered,
    UserUpdated,
    UserDeleted,
    UserRetired,
    PasswordChanged,
    SessionOpened,
    SessionRevoked,
    LoginFailed,
    LoginUnfamiliar,
    BanImposed,
    BanLifted,
    VerificationRequested,
    VerificationRefused,
    VerificationSucceeded,
    VerificationFailed,
    MessageSent,
    MessageDelivered,
    MessageFailed,
    MessageExpired,
    PrefixFlagged,
    PrefixThrottled,
    PrefixBlocked,
    PrefixCleared,
    BudgetWarned,
    BudgetReserved,
    BudgetExhausted,
    BudgetRenewed,
    ContactsMatched,
)
