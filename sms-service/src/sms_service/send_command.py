"""The command that goes from the API to the delivery workers: ids, and nothing worth stealing."""

from collections.abc import Sequence
from uuid import UUID

import orjson

from shared.events import OutboxMessage, new_id

SEND_QUEUE = "sms.send"


def send_command(message_id: UUID) -> OutboxMessage:
    """The order to send one message of the ledger, for the default exchange."""
    return OutboxMessage(new_id(), "", SEND_QUEUE, _body([str(message_id)]))


def join_commands(bodies: Sequence[bytes]) -> bytes:
    """The bodies of some commands as that of one, for the relay. Raises ``ValueError`` for one that is no command."""
    return _body([str(message_id) for body in bodies for message_id in parse_send_command(body)])


def parse_send_command(body: bytes) -> list[UUID]:
    """The messages to send. Raises ``ValueError`` for anything that is not such a command.

    (``message_id``, of one message, is what commands were before several could leave as one.)
    """
    try:
        command = orjson.loads(body)
        named = [command["message_id"]] if "message_id" in command else command["message_ids"]
        return [UUID(message_id) for message_id in named]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("not a send command") from None


def _body(message_ids: Sequence[str]) -> bytes:
    return orjson.dumps({"message_ids": message_ids})
