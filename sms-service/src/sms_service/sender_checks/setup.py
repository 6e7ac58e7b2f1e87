"""Runs the checks of senders in the worker, which has all senders open."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from shared.background import repeating
from shared.postgres import Pool
from sms_service.delivery.sender_pool import SenderPool
from sms_service.messages.templates import Texts
from sms_service.number_seal import NumberSeal
from sms_service.sender_checks.balances import READ_SECONDS, BalanceWatch
from sms_service.sender_checks.store import SenderCheckStore
from sms_service.sender_checks.test_messages import TAKE_SECONDS, TestMessageDelivery
from sms_service.senders.config import PrepaidTable, SenderConfig


@asynccontextmanager
async def checking_senders(
    pool: Pool, senders: SenderPool, configs: Mapping[str, SenderConfig], seal: NumberSeal, texts: Texts
) -> AsyncIterator[None]:
    """Send test messages, and read balances, until the block ends."""
    store = SenderCheckStore(pool)
    warnings = balance_warnings(configs)
    watch = BalanceWatch(store, senders.prepaid(warnings), warnings)
    delivery = TestMessageDelivery(store, senders, seal, texts)
    async with (
        repeating("test_messages", TAKE_SECONDS, delivery.send_waiting),
        repeating("balances", READ_SECONDS, watch.read),
    ):
        yield


def balance_warnings(configs: Mapping[str, SenderConfig]) -> dict[str, float]:
    """The senders whose balance is watched, with the balance below which it is low."""
    return {
        name: config.warn_below_balance
        for name, config in configs.items()
        if isinstance(config, PrepaidTable) and config.warn_below_balance is not None
    }
