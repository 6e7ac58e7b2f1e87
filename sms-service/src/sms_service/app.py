"""The composition root of the API: who issues and checks codes, and what that takes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from aiohttp import web

from shared import amqp, postgres
from shared.internal_api.server import new_service
from shared.outbox import Relay
from shared.process.health import CHECKS
from shared.process.settings import Environment, OnOff
from sms_service.delivery import consumer
from sms_service.keys import secrets_of
from sms_service.receipts.readers import readers
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.send_command import SEND_QUEUE, join_commands
from sms_service.settings import SmsSettings
from sms_service.spending.setup import watching
from sms_service.verification import api
from sms_service.verification.codes import CallerLimits, Switches, Verifications
from sms_service.verification.store import VerificationStore


def create_api(settings: SmsSettings) -> web.Application:
    """The process that issues and checks codes. Checking needs PostgreSQL alone, so readiness asks for no more."""
    token = settings.service_token.get_secret_value()
    operators = settings.operator_token.get_secret_value() if settings.operator_token else ""
    app = new_service(token, api.routes, body_bytes=api.MAX_BODY, other_tokens={api.EXPLAIN_PATH: operators})
    if operators:
        from sms_service.explain.setup import mount  # noqa: PLC0415  most have no need of it

        mount(app, settings)
    if settings.environment is Environment.DEVELOPMENT:
        from sms_service.inbox import api as inbox  # noqa: PLC0415  production has no inbox

        inbox.mount(app, token)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(postgres.pool(settings.postgres_url, settings.sms_database))
            broker = await stack.enter_async_context(amqp.connect(settings.amqp_url, "sms-service publish"))
            await broker.on_connect(partial(_declare_commands, broker))
            relay = Relay(pool, await amqp.Publisher.open(broker), {SEND_QUEUE: join_commands})
            await stack.enter_async_context(relay.running())
            callers = await _callers(settings, stack)
            switches = Switches(settings.reveal_codes, settings.master_code)
            tests = settings.routing.tests
            tests.announce(datetime.now(UTC))
            spending_guard = await watching(settings.routing.plan, pool, stack)
            app[api.CODES] = Verifications(
                VerificationStore(pool),
                callers,
                secrets_of(settings),
                relay.wake,
                switches,
                tests=tests,
                spending_guard=spending_guard,
            )
            app[api.RECEIPTS] = Receipts(ReceiptStore(pool), readers(settings.routing.senders), relay.wake)
            app[api.CALLBACKS] = settings.routing.callbacks or ""
            app[CHECKS]["postgresql"] = partial(postgres.ping, pool)
            yield

    app.cleanup_ctx.append(resources)
    return app


async def _declare_commands(broker: amqp.Connection) -> None:
    """Where commands wait for a worker, also when none has been started yet or the broker has lost everything."""
    await amqp.declare(await broker.channel(), consumer.SEND_COMMANDS)


async def _callers(settings: SmsSettings, stack: AsyncExitStack) -> CallerLimits:
    # redis-py weighs 20 MiB, and the worker needs none of it.
    from shared import redis  # noqa: PLC0415
    from sms_service.callers.rate_limits import Callers, Unlimited  # noqa: PLC0415

    if settings.caller_limits is OnOff.OFF:
        return Unlimited()
    return Callers(await stack.enter_async_context(redis.client(settings.redis_url)))
