"""The command that the API sends to the delivery workers: message ids with their causes, nothing worth stealing.

A command that leaves right after its commit also carries its messages, sealed, so that the worker need not read them.
Its row in the outbox does not, and neither does a command that rests in a retry or parking queue.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.events.envelope import OutboxMessage, new_id
from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.keys import KeyRing
from shared.trace import NO_CAUSE, Cause, current_cause, producing
from shared.values import value

SEND_QUEUE = "sms.send"

log = structlog.get_logger()


@value
class QueuedMessage:
    """A message of the ledger as it was written, for a number that had no other in the last 24 hours.

    Its times are by the database's clock.
    """

    verification_id: UUID
    phone_ref: int
    phone_sealed: bytes = field(repr=False)
    purpose: Purpose
    code_key_id: int
    language: Language
    dialect: str
    client: str
    notice: AccountNotice
    for_known: bool
    created_at: datetime
    expires_at: datetime


class CommandEntry(NamedTuple):
    """One message of a command: the request that caused it, and what ``MessageSeal`` made of it, if it is carried."""

    cause: Cause = NO_CAUSE
    sealed: str = ""


class MessageSeal:
    """Seals messages for the way to the worker, with the current key of a ring; opens what any of its keys has sealed.

    A sealed message is the id of its key in one byte, and the message encrypted with AES-SIV (RFC 5297) for its
    ``message_id``; in base64. A process that can only write to the queue can neither make nor change one.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._current = keys.current
        self._ciphers = {
            key_id: AESSIV(hmac.digest(secret, b"message seal", "sha512")) for key_id, secret in keys.by_id.items()
        }

    def seal(self, message_id: UUID, message: QueuedMessage) -> str:
        """Encrypt a message."""
        fields = vars(message) | {"phone_sealed": b64encode(message.phone_sealed).decode()}
        sealed = self._ciphers[self._current].encrypt(orjson.dumps(fields), [message_id.bytes])
        return b64encode(bytes([self._current]) + sealed).decode()

    def open(self, message_id: UUID, sealed: str) -> QueuedMessage | None:
        """Decrypt a message. None if the ledger has to be read instead.

        That is so for one that was changed, whose key has left the ring, or that another release has sealed.
        """
        try:
            content = b64decode(sealed)
            return _queued_message(orjson.loads(self._ciphers[content[0]].decrypt(content[1:], [message_id.bytes])))
        except (InvalidTag, LookupError, ValueError, TypeError):
            log.warning("message.not_opened", message_id=str(message_id))
            return None


def _queued_message(fields: dict[str, Any]) -> QueuedMessage:
    return QueuedMessage(
        **fields
        | {
            "verification_id": UUID(fields["verification_id"]),
            "phone_sealed": b64decode(fields["phone_sealed"]),
            "purpose": Purpose(fields["purpose"]),
            "language": Language(fields["language"]),
            "notice": AccountNotice(fields["notice"]),
            "created_at": datetime.fromisoformat(fields["created_at"]),
            "expires_at": datetime.fromisoformat(fields["expires_at"]),
        }
    )


def send_command(message_id: UUID) -> OutboxMessage:
    """The command to send one message of the ledger, for the exchange of its queue."""
    with producing(SEND_QUEUE):
        cause = current_cause()
    text = str(message_id)
    command: dict[str, object] = {"message_ids": [text]}
    if cause.request_id or cause.traceparent:
        command["causes"] = {text: (cause.request_id, cause.traceparent)}
    return OutboxMessage(new_id(), SEND_QUEUE, SEND_QUEUE, orjson.dumps(command))


def carrying(command: OutboxMessage, message_id: UUID, sealed: str) -> OutboxMessage:
    """The command of one message with the sealed message: one more member of its JSON object."""
    body = command.body.removesuffix(b"}") + b',"messages":' + orjson.dumps({str(message_id): sealed}) + b"}"
    return OutboxMessage(command.id, command.exchange, command.routing_key, body)


def without_messages(body: bytes) -> bytes:
    """A command without what it carries. A body that is not a command stays as it is."""
    try:
        entries = parse_send_command(body)
    except ValueError:
        return body
    return _body({message_id: entry._replace(sealed="") for message_id, entry in entries.items()})


def join_commands(bodies: Sequence[bytes]) -> bytes:
    """One command body that holds the messages of several. Raises ``ValueError`` if one of them is not a command."""
    if len(bodies) == 1:
        return bodies[0]
    return _body({message_id: entry for body in bodies for message_id, entry in parse_send_command(body).items()})


def parse_send_command(body: bytes) -> dict[UUID, CommandEntry]:
    """The messages to send. Raises ``ValueError`` for any other body.

    A command may also hold a single ``message_id``, as commands did before several were joined into one, and it may
    have no ``causes`` or ``messages``, as commands did before they had them.
    """
    try:
        command = orjson.loads(body)
        message_ids = [command["message_id"]] if "message_id" in command else command["message_ids"]
        causes, messages = command.get("causes", {}), command.get("messages", {})
        return {
            UUID(each): CommandEntry(Cause(*map(str, causes.get(each, ()))), str(messages.get(each, "")))
            for each in message_ids
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("not a send command") from None


def _body(entries: Mapping[UUID, CommandEntry]) -> bytes:
    by_text = {str(message_id): entry for message_id, entry in entries.items()}
    causes = {
        text: (entry.cause.request_id, entry.cause.traceparent)
        for text, entry in by_text.items()
        if entry.cause != NO_CAUSE
    }
    messages = {text: entry.sealed for text, entry in by_text.items() if entry.sealed}
    command: dict[str, object] = {"message_ids": list(by_text)}
    if causes:
        command["causes"] = causes
    if messages:
        command["messages"] = messages
    return orjson.dumps(command)
