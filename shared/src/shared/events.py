"""Every event Haoma tells the world, declared once: CloudEvents 1.0 (structured JSON) under versioned keys."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

import uuid_utils
from pydantic import BaseModel, ConfigDict

EXCHANGE = "events"
"""The one durable topic exchange; the routing key is the event's type."""


def new_id() -> UUID:
    """A UUIDv7: unique, and roughly in order of time, which keeps indexes dense."""
    return UUID(int=uuid_utils.uuid7().int)


class EventData(BaseModel):
    """The ``data`` of an event: something that happened, without codes, passwords, tokens or clear numbers.

    A field may be added with a default; anything else is a new class under a new ``.v<n>`` key. ``subject_field`` is the field
    that the envelope's ``subject`` repeats.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    key: ClassVar[str]
    subject_field: ClassVar[str]


class UserSnapshot(EventData):
    """A user as other services may know him. Apply it only if its ``version`` is newer than what you hold."""

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
    """An account was opened."""

    key = "auth.user.registered.v1"


class UserUpdated(UserSnapshot):
    """Profile, number, ``discoverable`` or ban changed."""

    key = "auth.user.updated.v1"


class UserDeleted(UserSnapshot):
    """The account is gone and its number free again; no older event may revive it."""

    key = "auth.user.deleted.v1"


class PasswordChanged(EventData):
    """Reset with a code, or changed by who is logged in. The sessions that it ended are counted."""

    key = "auth.password.changed.v1"
    subject_field = "user_id"

    user_id: str
    cause: Literal["reset", "change"]
    sessions_revoked: int


class SessionData(EventData):
    subject_field = "session_id"

    user_id: str
    session_id: str
    cause: str
    client: str


class SessionOpened(SessionData):
    """Somebody logged in; ``cause`` says how."""

    key = "auth.session.opened.v1"


class SessionRevoked(SessionData):
    """A session ended before its time; ``cause`` says why."""

    key = "auth.session.revoked.v1"


class VerificationData(EventData):
    subject_field = "verification_id"

    verification_id: str
    purpose: str
    phone_ref: str
    phone_masked: str
    country: str
    dialect: str
    test_number: bool = False


class VerificationRequested(VerificationData):
    """A code was asked for, and its message queued."""

    key = "sms.verification.requested.v1"


class VerificationRefused(VerificationData):
    """A code was asked for and not sent. ``verification_id`` is empty: none was made."""

    key = "sms.verification.refused.v1"
    subject_field = "phone_ref"

    limiter: str
    retry_after: int


class VerificationSucceeded(VerificationData):
    """The right code came back: the number is verified."""

    key = "sms.verification.succeeded.v1"


class VerificationFailed(VerificationData):
    """A wrong code came back."""

    key = "sms.verification.failed.v1"

    reason: str
    tries_left: int


class MessageData(EventData):
    subject_field = "message_id"

    message_id: str
    verification_id: str
    sender: str
    latency_ms: int


class MessageSent(MessageData):
    """A sender took the message. ``segments`` is how many short messages its text is, as a carrier bills it."""

    key = "sms.message.sent.v1"

    segments: int = 1


class MessageDelivered(MessageData):
    """The message reached the phone, as far as its sender can tell."""

    key = "sms.message.delivered.v1"


class MessageFailed(MessageData):
    """The message was refused or lost; ``failure`` is the class of the reason."""

    key = "sms.message.failed.v1"

    failure: str


class MessageExpired(MessageData):
    """The code's life ended before the message could leave: it was not sent."""

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


class BudgetExhausted(BudgetData):
    """A budget cannot pay for the cheapest message: its prefix gets none for ``seconds``, when the window ends."""

    key = "sms.budget.exhausted.v1"


class BudgetRenewed(BudgetData):
    """A warned or exhausted budget can pay again: a new window began, or its limit or its spending changed."""

    key = "sms.budget.renewed.v1"


class ContactsMatched(EventData):
    """A user looked for friends: how many numbers he sent, how many were new, how many are members."""

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
    PasswordChanged,
    SessionOpened,
    SessionRevoked,
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
    BudgetExhausted,
    BudgetRenewed,
    ContactsMatched,
)

F = TypeVar("F", bound=EventData)


class CloudEvent(BaseModel, Generic[F]):
    """The envelope (CloudEvents 1.0). ``version`` is an extension: the subject's version after this fact."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    time: datetime
    subject: str
    version: int
    datacontenttype: Literal["application/json"] = "application/json"
    data: F


@dataclass(frozen=True)
class OutboxMessage:
    """A message for the outbox: what the relay will publish, and where."""

    id: UUID
    exchange: str
    routing_key: str
    body: bytes


Publish = Callable[[Sequence[OutboxMessage]], Awaitable[None]]

_ENVELOPE = CloudEvent[Any]  # held: pydantic forgets a parametrised class nobody holds, and building one takes 1 ms


def new_event(fact: EventData, *, source: str, subject: str, version: int) -> OutboxMessage:
    """A fact in its envelope, ready for the outbox. ``source`` is the service's name."""
    identity = new_id()
    envelope = _ENVELOPE(
        id=str(identity),
        source=f"/{source}",
        type=fact.key,
        time=datetime.now(UTC),
        subject=subject,
        version=version,
        data=fact,
    )
    return OutboxMessage(identity, EXCHANGE, fact.key, envelope.model_dump_json().encode())
