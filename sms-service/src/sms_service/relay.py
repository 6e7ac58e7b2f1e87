"""The outbox relay of this service, which joins the commands that leave together."""

from contextlib import AsyncExitStack

from shared import amqp
from shared.events.catalogue import MessageSent, VerificationRequested
from shared.outbox import GATHER_SECONDS, Relay
from shared.postgres import Pool
from sms_service import send_command

HANDED_KEYS = (send_command.SEND_QUEUE, VerificationRequested.key, MessageSent.key)
"""The keys of what is always handed over by the process that writes it."""


async def open_relay(
    pool: Pool, publisher: amqp.Publisher, stack: AsyncExitStack, *, gather_seconds: float = GATHER_SECONDS
) -> Relay:
    """A relay that runs until ``stack`` is closed."""
    relay = Relay(
        pool,
        publisher,
        {send_command.SEND_QUEUE: send_command.join_commands},
        handed_keys=HANDED_KEYS,
        gather_seconds=gather_seconds,
    )
    await stack.enter_async_context(relay.running())
    return relay
