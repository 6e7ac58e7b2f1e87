"""The composition root of the delivery worker: who carries messages, and what that takes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aiohttp import web

from shared import amqp, postgres
from shared.internal_api.client import internal_client
from shared.outbox import Relay
from shared.process.health import CHECKS, add_health
from sms_service.delivery import consumer
from sms_service.delivery.delivery import Delivery
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.delivery.sender_pool import SenderPool
from sms_service.keys import secrets_of
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.retention import PURGE_SECONDS, SWEEP_SECONDS, purge, regularly
from sms_service.send_command import SEND_QUEUE, join_commands
from sms_service.senders.opening import Surroundings, open_all
from sms_service.settings import SmsSettings
from sms_service.spending.setup import minding

log = structlog.get_logger()


def create_worker(settings: SmsSettings) -> web.Application:
    """The process that delivers. Its HTTP serves only health and metrics."""
    app = web.Application()
    add_health(app)
    _warn_of_long_texts(settings)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(postgres.pool(settings.postgres_url, settings.sms_database))
            publishing = await stack.enter_async_context(amqp.connect(settings.amqp_url, "sms-worker publish"))
            consuming = await stack.enter_async_context(amqp.connect(settings.amqp_url, "sms-worker consume"))
            publisher = await amqp.Publisher.open(publishing)
            relay = Relay(pool, publisher, {SEND_QUEUE: join_commands})
            await stack.enter_async_context(relay.running())
            secrets, ledger = secrets_of(settings), LedgerStore(pool)
            receipts = Receipts(ReceiptStore(pool), {}, relay.wake)
            minded, gate = await minding(settings.sms_config.plan, pool, relay.wake, stack)
            delivery = Delivery(
                minded,
                await _sender_pool(settings, receipts, stack),
                secrets.deriver,
                secrets.phones,
                relay.wake,
                texts=settings.sms_config.message_tables.composer,
                gate=gate,
            )
            await stack.enter_async_context(regularly("sweep", SWEEP_SECONDS, delivery.sweep))
            await stack.enter_async_context(regularly("purge", PURGE_SECONDS, partial(purge, ledger)))
            commands = amqp.Consumer(consumer.SEND_COMMANDS, consumer.handler(delivery), publisher)
            await stack.enter_async_context(commands.running(consuming))
            app[CHECKS] |= {"postgresql": partial(postgres.ping, pool), "rabbitmq": commands.check}
            yield

    app.cleanup_ctx.append(resources)
    return app


async def _sender_pool(settings: SmsSettings, receipts: Receipts, stack: AsyncExitStack) -> SenderPool:
    inbox = partial(internal_client, settings.inbox_address, settings.service_token.get_secret_value())
    config = settings.sms_config
    around = Surroundings(inbox, config.callback_url, receipts.apply)
    senders = await open_all(config.senders, around, stack)
    limits = {name: sender.own_limits for name, sender in config.senders.items()}
    return SenderPool(senders, config.ordered_routes, limits, tariff=config.plan.tariff if config.plan else None)


def _warn_of_long_texts(settings: SmsSettings) -> None:
    """A carrier bills every short message: who words a text learns at the start that it takes several."""
    for where, occasion, segments in settings.sms_config.message_tables.multi_segment():
        log.warning(
            "text.long",
            where=where,
            purpose=occasion.purpose.value,
            language=occasion.language.value,
            segments=segments,
        )
