"""The outbox relay of this service, which joins the commands that leave together."""

from contextlib import AsyncExitStack

from shared import amqp
from shared.events.catalogue import VerificationRequested
from shared.outbox import Relay
from shared.postgres import Pool
from sms_service import send_command


async def open_relay(pool: Pool, publisher: amqp.Publisher, stack: AsyncExitStack) -> Relay:
    """A relay that runs until ``stack`` is closed."""
    relay = Relay(
        pool,
        publisher,
        {send_command.SEND_QUEUE: send_command.join_commands},
        handed_keys=[send_command.SEND_QUEUE, VerificationRequested.key],
    )
    await stack.enter_async_context(relay.running())
    return relay
