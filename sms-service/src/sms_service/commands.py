"""The command that goes from the API to the delivery workers: an id, and nothing worth stealing."""

from uuid import UUID

import orjson

from shared.events import Outgoing, new_id

SEND_QUEUE = "sms.send"


def send_command(message_id: UUID) -> Outgoing:
    """The order to send one message of the ledger, for the default exchange."""
    return Outgoing(new_id(), "", SEND_QUEUE, orjson.dumps({"message_id": str(message_id)}))


def parse_send_command(body: bytes) -> UUID:
    """The message to send. Raises ``ValueError`` for anything that is not such a command."""
    try:
        return UUID(orjson.loads(body)["message_id"])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("not a send command") from None
