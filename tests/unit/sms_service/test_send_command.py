"""The send command, and what a worker does with it and with malformed ones."""

from uuid import UUID, uuid4

import pytest

from shared.amqp import PoisonError
from shared.trace import Cause, begin_cause, current_cause
from sms_service.delivery.consumer import SEND_COMMANDS, handler
from sms_service.send_command import SEND_QUEUE, join_commands, parse_send_command, send_command

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

MALFORMED = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff",
    b'{"message_ids": 7}',
    b'{"message_ids": ["x"]}',
    b'{"message_ids": [null]}',
    b'{"message_ids": [7]}',
    b'{"message_ids": ["5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4"], "causes": 7}',
    b'{"message_ids": ["5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4"], "causes": {"5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4": 7}}',
]


class Delivered(list[UUID]):
    """A delivery that fails for the messages in ``failing``."""

    def __init__(self, *failing: UUID) -> None:
        self._failing = failing

    async def deliver(self, message_id: UUID) -> None:
        if message_id in self._failing:
            raise ConnectionError(f"no way for {message_id}")
        self.append(message_id)


def test_a_command_contains_the_message_id_and_nothing_else() -> None:
    message_id = uuid4()
    command = send_command(message_id)
    assert (command.exchange, command.routing_key) == (SEND_QUEUE, SEND_QUEUE)
    assert command.body == f'{{"message_ids":["{message_id}"]}}'.encode()
    assert list(parse_send_command(command.body)) == [message_id]
    assert SEND_COMMANDS.name == SEND_QUEUE


def test_commands_that_leave_together_are_joined_into_one() -> None:
    message_ids = [uuid4() for _ in range(3)]
    joined = join_commands([send_command(message_id).body for message_id in message_ids])
    assert list(parse_send_command(joined)) == message_ids


def test_a_command_with_a_single_message_id_is_parsed_and_joined() -> None:
    before, after = uuid4(), uuid4()
    old = f'{{"message_id":"{before}"}}'.encode()
    assert parse_send_command(old) == {before: Cause()}
    assert list(parse_send_command(join_commands([old, send_command(after).body]))) == [before, after]


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_command_cannot_be_joined(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a send command"):
        join_commands([send_command(uuid4()).body, body])


@pytest.mark.parametrize("body", MALFORMED)
async def test_a_malformed_command_is_poison(body: bytes) -> None:
    delivered = Delivered()
    with pytest.raises(PoisonError):
        await handler(delivered)(body)
    assert delivered == []


async def test_each_message_is_delivered_for_the_request_that_caused_it() -> None:
    causes: dict[UUID, Cause] = {}

    class Delivery:
        async def deliver(self, message_id: UUID) -> None:
            causes[message_id] = current_cause()

    first, second, third = (uuid4() for _ in range(3))
    bodies = [send_command(first).body]
    for message_id, traceparents in ((second, [TRACE]), (third, [])):
        begin_cause(f"request {message_id}", traceparents)
        bodies.append(send_command(message_id).body)
    begin_cause("")

    await handler(Delivery())(join_commands(bodies))  # type: ignore[arg-type]

    assert causes == {
        first: Cause(), second: Cause(f"request {second}", TRACE), third: Cause(f"request {third}")
    }  # fmt: skip


async def test_each_message_of_a_command_is_delivered() -> None:
    delivered = Delivered()
    message_ids = [uuid4() for _ in range(3)]
    await handler(delivered)(join_commands([send_command(message_id).body for message_id in message_ids]))
    assert delivered == message_ids


async def test_a_message_that_fails_delays_no_other_message_and_fails_the_command() -> None:
    first, failing, last = (uuid4() for _ in range(3))
    delivered = Delivered(failing)
    command = join_commands([send_command(message_id).body for message_id in (first, failing, last)])
    with pytest.raises(ExceptionGroup) as caught:
        await handler(delivered)(command)
    assert delivered == [first, last]
    assert [str(error) for error in caught.value.exceptions] == [f"no way for {failing}"]
