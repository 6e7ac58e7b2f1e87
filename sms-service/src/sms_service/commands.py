"""The command that goes from the API to the delivery workers: ids, and nothing worth stealing."""

from collections.abc import Sequence
from uuid import UUID

import orjson

from shared.events import Outgoing, new_id

SEND_QUEUE = "sms.send"


def send_command(message_id: UUID) -> Outgoing:
    """The order to send one message of the ledger, for the default exchange."""
    return Outgoing(new_id(), "", SEND_QUEUE, _body([str(message_id)]))


def join_commands(bodies: Sequence[bytes]) -> bytes:
    """The bodies of some commands as that of one, for the relay: those that leave together leave as one."""
    return _body([named for body in bodies for named in orjson.loads(body)["message_ids"]])


def parse_send_command(body: bytes) -> list[UUID]:
    """The messages to send. Raises ``ValueError`` for anything that is not such a command."""
    try:
        return [UUID(named) for named in orjson.loads(body)["message_ids"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("not a send command") from None


def _body(message_ids: Sequence[str]) -> bytes:
    return orjson.dumps({"message_ids": message_ids})
