"""The command that the API sends to the delivery workers: message ids with their causes, nothing worth stealing."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson

from shared.events.envelope import OutboxMessage, new_id
from shared.trace import NO_CAUSE, Cause, current_cause, producing

SEND_QUEUE = "sms.send"


def send_command(message_id: UUID) -> OutboxMessage:
    """The command to send one message of the ledger, for the exchange of its queue."""
    with producing(SEND_QUEUE):
        return OutboxMessage(new_id(), SEND_QUEUE, SEND_QUEUE, _body({message_id: current_cause()}))


def join_commands(bodies: Sequence[bytes]) -> bytes:
    """One command body that holds the messages of several. Raises ``ValueError`` if one of them is not a command."""
    return _body({message_id: cause for body in bodies for message_id, cause in parse_send_command(body).items()})


def parse_send_command(body: bytes) -> dict[UUID, Cause]:
    """The messages to send, each with the request that caused it. Raises ``ValueError`` for any other body.

    A command may also hold a single ``message_id``, as commands did before several were joined into one, and it may
    have no ``causes``, as commands did before they named them.
    """
    try:
        command = orjson.loads(body)
        message_ids = [command["message_id"]] if "message_id" in command else command["message_ids"]
        causes = command.get("causes", {})
        return {UUID(message_id): Cause(*map(str, causes.get(message_id, ()))) for message_id in message_ids}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("not a send command") from None


def _body(messages: Mapping[UUID, Cause]) -> bytes:
    causes = {
        str(message_id): (cause.request_id, cause.traceparent)
        for message_id, cause in messages.items()
        if cause != NO_CAUSE
    }
    return orjson.dumps({"message_ids": list(map(str, messages))} | ({"causes": causes} if causes else {}))
