"""The send command, and what a worker does with it and with malformed ones."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shared.amqp import PoisonError
from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.keys import KeyRing
from shared.trace import Cause, begin_cause, current_cause
from shared.values import value
from sms_service.delivery.consumer import SEND_COMMANDS, handler
from sms_service.delivery.ledger import FRESH_WITHIN, LedgerMessage, MessageState
from sms_service.send_command import (
    SEND_QUEUE,
    CommandEntry,
    MessageSeal,
    QueuedMessage,
    carrying,
    join_commands,
    parse_send_command,
    send_command,
    without_messages,
)

RING = "1:" + "ab" * 32
SEAL = MessageSeal(KeyRing.parse(RING))
NOW = datetime(2026, 11, 30, 8, 0, 0, 123456, UTC)
QUEUED = QueuedMessage(
    verification_id=UUID(int=7),
    phone_ref=-(2**63),
    phone_sealed=b"\x01sealed",
    purpose=Purpose.SIGN_IN,
    code_key_id=3,
    language=Language.ENGLISH,
    dialect="native",
    client="shop",
    notice=AccountNotice.NO_ACCOUNT,
    for_known=True,
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=5),
)
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
    b'{"message_ids": ["5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4"], "messages": 7}',
    b'{"message_ids": ["5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4"], "causes": {"5b1ed0a8-6f3c-4a39-9df1-d2c1a3a6c3a4": 7}}',
]


@value
class LaterMessage(QueuedMessage):
    """A message of a later release, which has one more field."""

    region: str = "cn"


class Delivered(list[UUID]):
    """A delivery that fails for the messages in ``failing``."""

    def __init__(self, *failing: UUID) -> None:
        self._failing = failing

        self.carried: list[QueuedMessage | None] = []

    async def deliver(self, message_id: UUID, queued: QueuedMessage | None) -> None:
        if message_id in self._failing:
            raise ConnectionError(f"no way for {message_id}")
        self.append(message_id)
        self.carried.append(queued)


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
    assert parse_send_command(old) == {before: CommandEntry()}
    assert list(parse_send_command(join_commands([old, send_command(after).body]))) == [before, after]


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_command_cannot_be_joined(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a send command"):
        join_commands([send_command(uuid4()).body, body])


@pytest.mark.parametrize("body", MALFORMED)
async def test_a_malformed_command_is_poison(body: bytes) -> None:
    delivered = Delivered()
    with pytest.raises(PoisonError):
        await handler(delivered, SEAL)(body)
    assert delivered == []


async def test_each_message_is_delivered_for_the_request_that_caused_it() -> None:
    causes: dict[UUID, Cause] = {}

    class Delivery:
        async def deliver(self, message_id: UUID, _: QueuedMessage | None) -> None:
            causes[message_id] = current_cause()

    first, second, third = (uuid4() for _ in range(3))
    bodies = [send_command(first).body]
    for message_id, traceparents in ((second, [TRACE]), (third, [])):
        begin_cause(f"request {message_id}", traceparents)
        bodies.append(send_command(message_id).body)
    begin_cause("")

    await handler(Delivery(), SEAL)(join_commands(bodies))  # type: ignore[arg-type]

    assert causes == {
        first: Cause(), second: Cause(f"request {second}", TRACE), third: Cause(f"request {third}")
    }  # fmt: skip


async def test_each_message_of_a_command_is_delivered() -> None:
    delivered = Delivered()
    message_ids = [uuid4() for _ in range(3)]
    await handler(delivered, SEAL)(join_commands([send_command(message_id).body for message_id in message_ids]))
    assert delivered == message_ids


async def test_a_message_that_fails_delays_no_other_message_and_fails_the_command() -> None:
    first, failing, last = (uuid4() for _ in range(3))
    delivered = Delivered(failing)
    command = join_commands([send_command(message_id).body for message_id in (first, failing, last)])
    with pytest.raises(ExceptionGroup) as caught:
        await handler(delivered, SEAL)(command)
    assert delivered == [first, last]
    assert [str(error) for error in caught.value.exceptions] == [f"no way for {failing}"]


def carried(message_id: UUID) -> bytes:
    return carrying(send_command(message_id), message_id, SEAL.seal(message_id, QUEUED)).body


async def test_a_command_brings_the_message_that_it_carries_and_nothing_of_it_can_be_read() -> None:
    plain, first, second = (uuid4() for _ in range(3))
    begin_cause("request", [TRACE])
    body = join_commands([carried(first), send_command(plain).body, carried(second)])

    delivered = Delivered()
    await handler(delivered, SEAL)(body)

    assert (delivered, delivered.carried) == ([first, plain, second], [QUEUED, None, QUEUED])
    assert {entry.cause for entry in parse_send_command(body).values()} == {Cause("request", TRACE)}
    sealed = b64decode(parse_send_command(body)[first].sealed)
    for private in (b"sealed", b"native", b"shop", QUEUED.verification_id.bytes):
        assert private not in sealed
        assert private not in body.replace(b"message_ids", b"")


def test_a_sealed_message_is_of_one_message_id() -> None:
    message_id = uuid4()
    sealed = SEAL.seal(message_id, QUEUED)
    assert SEAL.open(message_id, sealed) == QUEUED
    assert SEAL.open(uuid4(), sealed) is None


def test_a_sealed_message_that_was_changed_or_whose_key_is_gone_is_left_to_the_ledger() -> None:
    message_id = uuid4()
    sealed = b64decode(SEAL.seal(message_id, QUEUED))
    changed = [bytes([*sealed[:place], sealed[place] ^ 1, *sealed[place + 1 :]]) for place in (0, 1, len(sealed) - 1)]
    for content in (*changed, sealed[:-1], b"\x01", b""):
        assert SEAL.open(message_id, b64encode(content).decode()) is None
    assert SEAL.open(message_id, "no base64") is None
    assert MessageSeal(KeyRing.parse("2:" + "cd" * 32)).open(message_id, b64encode(sealed).decode()) is None


async def test_a_message_that_a_later_release_has_sealed_is_left_to_the_ledger() -> None:
    message_id = uuid4()
    sealed = SEAL.seal(message_id, LaterMessage(**vars(QUEUED)))
    delivered = Delivered()
    await handler(delivered, SEAL)(carrying(send_command(message_id), message_id, sealed).body)
    assert (delivered, delivered.carried) == ([message_id], [None])


def test_a_key_that_is_no_longer_the_current_one_opens_what_it_sealed() -> None:
    message_id = uuid4()
    later = MessageSeal(KeyRing.parse(f"2:{'cd' * 32},{RING}"))
    assert later.open(message_id, SEAL.seal(message_id, QUEUED)) == QUEUED


def test_a_command_at_rest_carries_nothing_but_its_ids_and_causes() -> None:
    first, second = uuid4(), uuid4()
    begin_cause("request", [TRACE])
    plain = join_commands([send_command(message_id).body for message_id in (first, second)])
    full = join_commands([carried(first), carried(second)])
    begin_cause("")
    assert without_messages(full) == plain
    assert without_messages(b"no command") == b"no command"


def test_a_fresh_message_is_as_it_would_be_read_from_the_ledger() -> None:
    message_id = uuid4()
    message = LedgerMessage.fresh(message_id, QUEUED, NOW + timedelta(seconds=2))
    assert message == LedgerMessage(
        message_id=message_id,
        verification_id=QUEUED.verification_id,
        phone_ref=QUEUED.phone_ref,
        purpose=Purpose.SIGN_IN,
        state=MessageState.QUEUED,
        sender="",
        version=1,
        age=timedelta(seconds=2),
        remaining=timedelta(minutes=4, seconds=58),
        code_key_id=3,
        language=Language.ENGLISH,
        dialect="native",
        client="shop",
        phone_sealed=b"\x01sealed",
        notice=AccountNotice.NO_ACCOUNT,
        for_known=True,
    )


def test_a_worker_whose_clock_is_late_by_little_takes_a_message_for_new() -> None:
    message = LedgerMessage.fresh(uuid4(), QUEUED, NOW - FRESH_WITHIN)
    assert message is not None
    assert (message.age, message.remaining) == (timedelta(), timedelta(minutes=5))


@pytest.mark.parametrize("apart", [FRESH_WITHIN, -FRESH_WITHIN])
def test_a_message_is_read_from_the_ledger_if_it_waited_or_the_clocks_differ(apart: timedelta) -> None:
    assert LedgerMessage.fresh(uuid4(), QUEUED, NOW + apart * 1.001) is None
