"""The send command, and what a worker does with nonsense."""

from uuid import UUID, uuid4

import pytest

from shared.amqp import PoisonError
from sms_service.commands import SEND_QUEUE, parse_send_command, send_command
from sms_service.consumer import SEND_COMMANDS, handler

NONSENSE = [b"", b"{}", b"[]", b"null", b'{"message_id": 7}', b'{"message_id": "x"}', b"\xff", b'{"message_id": null}']


class Delivered(list[UUID]):
    async def deliver(self, message_id: UUID) -> None:
        self.append(message_id)


def test_a_command_names_a_message_and_nothing_else() -> None:
    message_id = uuid4()
    command = send_command(message_id)
    assert (command.exchange, command.routing_key) == ("", SEND_QUEUE)
    assert command.body == f'{{"message_id":"{message_id}"}}'.encode()
    assert parse_send_command(command.body) == message_id
    assert SEND_COMMANDS.name == SEND_QUEUE


@pytest.mark.parametrize("body", NONSENSE)
async def test_nonsense_is_poison(body: bytes) -> None:
    delivered = Delivered()
    with pytest.raises(PoisonError):
        await handler(delivered)(body)
    assert delivered == []


async def test_a_command_is_delivered() -> None:
    delivered = Delivered()
    message_id = uuid4()
    await handler(delivered)(send_command(message_id).body)
    assert delivered == [message_id]
