"""The command that the API sends to the delivery workers. It holds message ids only, nothing worth stealing."""

from collections.abc import Sequence
from uuid import UUID

import orjson

from shared.events.envelope import OutboxMessage, new_id

SEND_QUEUE = "sms.send"


def send_command(message_id: UUID) -> OutboxMessage:
    """The command to send one message of the ledger, for the default exchange."""
    return OutboxMessage(new_id(), "", SEND_QUEUE, _body([str(message_id)]))


def join_commands(bodies: Sequence[bytes]) -> bytes:
    """One command body that holds the messages of several. Raises ``ValueError`` if one of them is not a command."""
    return _body([str(message_id) for body in bodies for message_id in parse_send_command(body)])


def parse_send_command(body: bytes) -> list[UUID]:
    """The messages to send. Raises ``ValueError`` for anything that is not a send command.

    A command may also hold a single ``message_id``, as commands did before several were joined into one.
    """
    try:
        command = orjson.loads(body)
        message_ids = [command["message_id"]] if "message_id" in command else command["message_ids"]
        return [UUID(message_id) for message_id in message_ids]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("not a send command") from None


def _body(message_ids: Sequence[str]) -> bytes:
    return orjson.dumps({"message_ids": message_ids})
