"""The consumer of erased accounts, running."""

from contextlib import AsyncExitStack

from shared import amqp
from shared.postgres import Pool
from sms_service.erasure.consumer import QUEUE, handler
from sms_service.erasure.store import ErasureStore


async def consume_erasures(
    pool: Pool, consuming: amqp.Connection, publisher: amqp.Publisher, stack: AsyncExitStack
) -> None:
    """Forget the numbers of erased accounts until ``stack`` is closed."""
    consumer = amqp.Consumer(QUEUE, handler(ErasureStore(pool)), publisher)
    await stack.enter_async_context(consumer.running(consuming))
