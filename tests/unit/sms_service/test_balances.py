"""The watch over the balances of prepaid accounts."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import structlog
from prometheus_client import REGISTRY

from sms_service.sender_checks.balances import BALANCE, WARNING, BalanceWatch
from sms_service.sender_checks.setup import balance_warnings
from sms_service.senders.config import InboxConfig, TwilioConfig
from sms_service.senders.port import Balance, OutgoingMessage, SendResult


@dataclass
class Prepaid:
    """A sender with a balance, or with an error instead."""

    name: str
    answer: Balance | Exception

    async def send(self, outgoing: OutgoingMessage) -> SendResult:
        raise AssertionError(outgoing.message_id)

    async def balance(self) -> Balance:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Kept:
    """What was kept."""

    balances: dict[str, Balance] = field(default_factory=dict)

    async def keep(self, sender: str, balance: Balance) -> None:
        self.balances[sender] = balance


@pytest.fixture(autouse=True)
def own_metrics() -> Iterator[None]:
    BALANCE.clear()
    WARNING.clear()
    yield
    BALANCE.clear()
    WARNING.clear()


def shown(name: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"sender": "world"})


async def test_a_balance_is_kept_and_measured_beside_its_warning() -> None:
    kept, sender = Kept(), Prepaid("world", Balance(120.5, "USD"))
    with structlog.testing.capture_logs() as logs:
        await BalanceWatch(kept, [sender], {"world": 100}).read()

    assert kept.balances == {"world": Balance(120.5, "USD")}
    assert (shown("haoma_sender_balance"), shown("haoma_sender_balance_warning")) == (120.5, 100)
    assert logs == []


async def test_a_low_balance_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        await BalanceWatch(Kept(), [Prepaid("world", Balance(99.0, "USD"))], {"world": 100}).read()

    assert [(line["event"], line["amount"], line["unit"]) for line in logs] == [("balance.low", 99.0, "USD")]


async def test_an_error_is_logged_without_its_text_and_the_old_balance_is_measured_no_more() -> None:
    kept, sender = Kept(), Prepaid("world", Balance(120.5, "USD"))
    watch = BalanceWatch(kept, [sender], {"world": 100})
    await watch.read()
    sender.answer = ValueError("+8613800138000")
    with structlog.testing.capture_logs() as logs:
        await watch.read()

    assert shown("haoma_sender_balance") is None
    assert [(line["event"], line["error"]) for line in logs] == [("balance.unreadable", "ValueError")]
    assert "138" not in str(logs)
    assert kept.balances == {"world": Balance(120.5, "USD")}


async def test_one_unreadable_balance_does_not_hide_the_next() -> None:
    kept = Kept()
    senders = [Prepaid("first", OSError()), Prepaid("world", Balance(1.0, "messages"))]
    await BalanceWatch(kept, senders, {"first": 1, "world": 1}).read()

    assert kept.balances == {"world": Balance(1.0, "messages")}


def test_only_senders_with_a_warning_are_read() -> None:
    quiet = TwilioConfig.model_construct()
    watched = TwilioConfig.model_construct(warn_below_balance=5.0)
    configs = {"inbox": InboxConfig(type="inbox"), "quiet": quiet, "world": watched}

    assert balance_warnings(configs) == {"world": 5.0}
