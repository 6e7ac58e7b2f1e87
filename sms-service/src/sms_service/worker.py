"""The composition root of the delivery worker: consumes send commands and erasures, sweeps, purges, seals."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aiohttp import web

from shared import amqp, postgres
from shared.process.health import CHECKS, add_checks
from sms_service.delivery import consumer
from sms_service.delivery.delivery import Delivery, HandOver
from sms_service.delivery.setup import open_ledger, open_sender_pool, sweeping
from sms_service.erasure.setup import consume_erasures
from sms_service.jobs import running_jobs
from sms_service.keys import deriver_of, message_seal_of, seal_of
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.relay import open_relay
from sms_service.sender_checks.setup import checking_senders
from sms_service.senders.opening import SenderResources
from sms_service.settings import WorkerSettings

GATHER_EVENTS_SECONDS = 0.2
"""The worker hands over events alone, and what they report has been done: they may wait longer than commands."""

log = structlog.get_logger()


def create_worker(settings: WorkerSettings) -> web.Application:
    """The process that delivers messages. It serves nothing but its monitoring port."""
    app = web.Application()
    add_checks(app)
    _warn_of_multi_segment_texts(settings)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                postgres.pool(
                    settings.postgres_url,
                    settings.sms_database,
                    restricted=settings.is_production,
                    package="sms_service",
                )
            )
            publishing = await stack.enter_async_context(amqp.connect(settings.amqp_url, "sms-worker publish"))
            consuming = await stack.enter_async_context(amqp.connect(settings.amqp_url, "sms-worker consume"))
            publisher = await amqp.Publisher.open(publishing, "sms")
            relay = await open_relay(pool, publisher, stack, gather_seconds=GATHER_EVENTS_SECONDS)
            delivery = await _open_delivery(settings, pool, relay.wake, relay.hand_over, stack)
            await stack.enter_async_context(sweeping(delivery))
            await stack.enter_async_context(running_jobs(settings, pool))
            commands = consumer.command_consumer(delivery, message_seal_of(settings), publisher)
            await stack.enter_async_context(commands.running(consuming))
            await consume_erasures(pool, consuming, publisher, stack)
            app[CHECKS] |= {"postgresql": partial(postgres.ping, pool), "rabbitmq": commands.check}
            yield

    app.cleanup_ctx.append(resources)
    return app


async def _open_delivery(
    settings: WorkerSettings, pool: postgres.Pool, wake: Callable[[], None], hand_over: HandOver, stack: AsyncExitStack
) -> Delivery:
    config, seal = settings.sms_config, seal_of(settings)
    texts = config.message_tables.composer
    ledger, spending_guard = await open_ledger(config.plan, pool, wake, stack)
    sender_resources = SenderResources(
        inbox_url=settings.inbox_url,
        inbox_tokens=settings.inbox_tokens,
        receipts_url=config.callback_url,
        apply_receipt=Receipts(ReceiptStore(pool), {}, wake).apply,
    )
    senders = await open_sender_pool(config.senders, config.ordered_routes, config.plan, sender_resources, stack)
    await stack.enter_async_context(checking_senders(pool, senders, config.senders, seal, texts))
    return Delivery(ledger, senders, deriver_of(settings), seal, hand_over, texts=texts, spending_guard=spending_guard)


def _warn_of_multi_segment_texts(settings: WorkerSettings) -> None:
    """Carriers bill each SMS segment, so the log names every text that needs more than one."""
    for where, context, segments in settings.sms_config.message_tables.multi_segment():
        log.warning(
            "text.segmented",
            where=where,
            purpose=context.purpose.value,
            language=context.language.value,
            segments=segments,
        )
