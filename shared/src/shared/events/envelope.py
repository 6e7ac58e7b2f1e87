"""Events: CloudEvents 1.0 in structured JSON, and how they enter the outbox. ``catalogue`` has every event."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict
from uuid_utils.compat import uuid7

from shared.trace import current_cause, producing
from shared.values import value

EXCHANGE = "events"
"""The durable topic exchange that consumers bind to. The routing key is the event's type."""

ENTRIES = f"{EXCHANGE}."
"""The names of the exchanges that events are published to begin so."""


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562). Its order in time keeps indexes dense."""
    return uuid7()


def entry_of(key: str) -> str:
    """The topic exchange that an event is published to: its service's own, by the first word of the key.

    It is bound to ``EXCHANGE``. No other service may write to it, and a message tells its consumers where it entered:
    so they know which service published it (decision 95). The broker deletes it with ``EXCHANGE``, so publishers
    notice even if a consumer has created ``EXCHANGE`` again (decision 42).
    """
    return f"{ENTRIES}{key.partition('.')[0]}"


class EventData(BaseModel):
    """The ``data`` of an event. It contains no code, password, token or clear number.

    A new field needs a default; every other change is a new class with a new ``.v<n>`` key. ``subject_field`` names the
    field that the envelope repeats as ``subject``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    key: ClassVar[str]
    subject_field: ClassVar[str]


DataT = TypeVar("DataT", bound=EventData)


class CloudEvent(BaseModel, Generic[DataT]):
    """The envelope (CloudEvents 1.0), with three extensions.

    ``version`` is the version of the subject after this event. ``requestid`` is the ``X-Request-Id`` of the request
    that caused the event, and ``traceparent`` the W3C trace context of that request; each is absent without one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    time: datetime
    subject: str
    version: int
    requestid: str | None = None
    traceparent: str | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    data: DataT

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """A name without brackets, such as ``UserRegisteredEvent``, for the classes that generators make."""
        return f"{getattr(params[0], '__name__', '')}Event"


@value
class OutboxMessage:
    """A message for the outbox: what the relay publishes, and where.

    ``exchange`` is ``entry_of`` for an event, and the exchange of a queue (``shared.amqp.queues``) for a message to it.
    ``event_type`` is set for an event that goes straight to a queue, whose routing key is then the queue's name.
    """

    id: UUID
    exchange: str
    routing_key: str
    body: bytes
    event_type: str = ""


Publish = Callable[[Sequence[OutboxMessage]], Awaitable[None]]


def to_queue(event: OutboxMessage, queue: str) -> OutboxMessage:
    """The event for one queue alone: no other consumer receives it. Only an operator may publish it."""
    return OutboxMessage(event.id, "", queue, event.body, event.routing_key)


def new_event(data: EventData, *, source: str, subject: str, version: int) -> OutboxMessage:
    """An event in its envelope, ready for the outbox. ``source`` is the service's name."""
    with producing(data.key):
        identity, cause = new_id(), current_cause()
    envelope: dict[str, object] = {
        "specversion": "1.0",
        "id": str(identity),
        "source": f"/{source}",
        "type": data.key,
        "time": datetime.now(UTC),
        "subject": subject,
        "version": version,
    }
    if cause.request_id:
        envelope["requestid"] = cause.request_id
    if cause.traceparent:
        envelope["traceparent"] = cause.traceparent
    envelope["datacontenttype"] = "application/json"
    envelope["data"] = orjson.Fragment(data.__pydantic_serializer__.to_json(data, exclude_none=True))
    return OutboxMessage(identity, entry_of(data.key), data.key, orjson.dumps(envelope, option=orjson.OPT_UTC_Z))
