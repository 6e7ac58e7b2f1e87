"""The composition root of the API, which issues and checks codes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from shared import amqp, postgres
from shared.internal_api.server import add_api, new_service
from shared.process.health import BACKENDS, CHECKS
from sms_service.delivery import consumer
from sms_service.operators.setup import mount, serving_operators
from sms_service.personal_data import api as personal_data
from sms_service.receipts import api as receipts
from sms_service.relay import open_relay
from sms_service.settings import SmsSettings
from sms_service.spending.setup import watching
from sms_service.verification import api
from sms_service.verification.setup import counting_failures, provide_codes


def create_api(settings: SmsSettings) -> web.Application:
    """The API process. Checking a code needs only PostgreSQL, so the process is ready with PostgreSQL alone."""
    app = new_service(settings.principal_tokens, [api, receipts, personal_data], body_bytes=receipts.MAX_BODY_BYTES)
    if settings.operator_to_sms_token:
        mount(app)
    if settings.is_development:
        from sms_service.inbox import api as inbox  # noqa: PLC0415  production has no inbox

        add_api(app, inbox)
        inbox.mount(app)
    app.cleanup_ctx.append(partial(_resources, settings))
    return app


async def _resources(settings: SmsSettings, app: web.Application) -> AsyncIterator[None]:
    from sms_service.callers.setup import open_caller_limits  # noqa: PLC0415  the worker must not load redis-py's 20 MiB

    config = settings.sms_config
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            postgres.pool(
                settings.postgres_url,
                settings.sms_database,
                restricted=settings.is_production,
                package="sms_service",
            )
        )
        broker = await stack.enter_async_context(amqp.connect(settings.amqp_url, "sms-service publish"))
        await broker.on_connect(partial(_declare_commands, broker))
        relay = await open_relay(pool, await amqp.Publisher.open(broker, "sms"), stack)
        callers = await open_caller_limits(settings.redis_url, stack, settings.caller_limit_values, app[BACKENDS])
        config.test_number_lookup.log_configured(datetime.now(UTC))
        verifications = provide_codes(
            app,
            settings,
            pool,
            relay,
            callers=callers,
            test_numbers=config.test_number_lookup,
            spending_guard=await watching(config.plan, pool, stack),
        )
        await stack.enter_async_context(counting_failures(verifications))
        if settings.operator_to_sms_token:
            await stack.enter_async_context(
                serving_operators(app, settings, pool, relay.wake, broker=broker, callers=callers)
            )
        personal_data.provide_personal_data(app, pool, settings.phone_key)
        receipts.provide_receipts(app, pool, relay.wake, senders=config.senders, callback_url=config.callback_url)
        app[CHECKS]["postgresql"] = partial(postgres.ping, pool)
        app[BACKENDS]["rabbitmq"] = broker.ping
        yield


async def _declare_commands(broker: amqp.Connection) -> None:
    """Declare the queue on each connection: no worker may have started yet, or the broker may have lost everything."""
    await amqp.declare(await broker.channel(), consumer.SEND_COMMANDS)
