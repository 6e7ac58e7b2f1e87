"""Watches what is left of prepaid accounts, so that an operator pays before messages stop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog
from prometheus_client import Gauge

from sms_service.senders.port import SEND_SECONDS, Balance, PrepaidSender

READ_SECONDS = 600.0

BALANCE = Gauge("haoma_sender_balance", "What is left of a sender's prepaid account", ["sender"])
WARNING = Gauge("haoma_sender_balance_warning", "The balance below which a sender's account is low", ["sender"])

log = structlog.get_logger()


class BalanceRepository(Protocol):
    """The last balance of each sender."""

    async def keep(self, sender: str, balance: Balance) -> None:
        """Replace what was read before."""


class BalanceWatch:
    """Reads the balances of the senders that the settings file gives a ``warn_below_balance``."""

    def __init__(
        self, repository: BalanceRepository, senders: Sequence[PrepaidSender], warnings: Mapping[str, float]
    ) -> None:
        self._repository = repository
        self._senders = senders
        self._warnings = warnings
        for sender in senders:
            WARNING.labels(sender.name).set(warnings[sender.name])

    async def read(self) -> None:
        """Read every balance. One that cannot be read is in no metric until it can be read again."""
        for sender in self._senders:
            balance = await _balance_of(sender)
            if balance is None:
                BALANCE.remove(sender.name)
                continue
            BALANCE.labels(sender.name).set(balance.amount)
            if balance.amount < self._warnings[sender.name]:
                log.warning("balance.low", sender=sender.name, amount=balance.amount, unit=balance.unit)
            await self._repository.keep(sender.name, balance)


async def _balance_of(sender: PrepaidSender) -> Balance | None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            return await sender.balance()
    except Exception as error:  # noqa: BLE001  the libraries of providers raise all kinds of exceptions
        log.warning("balance.unreadable", sender=sender.name, error=type(error).__name__)
        return None
