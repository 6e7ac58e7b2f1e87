"""Builds what operators ask of this service. It exists only if the settings have a token for them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from shared.amqp import Connection
from shared.internal_api.server import add_api
from shared.parked import api as parked
from shared.parked.setup import taking_parked
from shared.phone import PhoneKeys
from shared.postgres import Pool
from sms_service.delivery.consumer import SEND_COMMANDS
from sms_service.erasure.consumer import QUEUE as ERASURES
from sms_service.explain import api as explain
from sms_service.explain.setup import explainer
from sms_service.keys import seal_of
from sms_service.operators import api
from sms_service.operators.activity_store import NumberActivityStore
from sms_service.operators.limits import OperatorLimits, SendLimits
from sms_service.operators.reports import OperatorReports
from sms_service.operators.senders import OperatorSenders
from sms_service.sender_checks.store import SenderCheckStore
from sms_service.settings import SmsSettings
from sms_service.spending.monitor import PrefixMonitor
from sms_service.spending.store import SpendingStore


def mount(app: web.Application) -> None:
    """Add the calls of operators to the API."""
    for each in (explain, api, parked):
        add_api(app, each)


@asynccontextmanager
async def serving_operators(
    app: web.Application,
    settings: SmsSettings,
    pool: Pool,
    wake: Callable[[], None],
    *,
    broker: Connection,
    callers: SendLimits,
) -> AsyncIterator[None]:
    """Serve operators until the block ends."""
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    plan = settings.sms_config.plan
    monitor = PrefixMonitor(SpendingStore(pool), plan, wake) if plan else None
    app[api.SENDERS] = OperatorSenders(SenderCheckStore(pool), settings.sms_config.senders, seal_of(settings))
    app[api.LIMITS] = OperatorLimits(NumberActivityStore(pool), callers, phones, monitor)
    async with explainer(settings) as reports, taking_parked(app, pool, wake, broker, [SEND_COMMANDS, ERASURES]):
        app[explain.EXPLAINER] = reports
        app[api.REPORTS] = OperatorReports(reports)
        yield
