"""The ledger with budgets: a statement that claims a message also charges for it, so workers never overspend."""

from collections.abc import Callable, Sequence
from enum import Enum
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.batching import Batcher
from shared.errors import ServiceError
from shared.events.envelope import OutboxMessage
from shared.postgres import Pool, connection, is_rolled_back
from shared.sql import load_sql
from sms_service.delivery.ledger import FinalState, LedgerMessage, MessageState, OverBudgetError
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.senders.port import Outcome
from sms_service.spending.money import Budget, MessageCost
from sms_service.spending.policy import BUCKET_SECONDS
from sms_service.spending.prefixes import calling_code

SPENT = Counter("haoma_spent_micros_total", "Cost of all attempts, in millionths", ["sender", "country"])
REFUNDED = Counter("haoma_refunded_micros_total", "Cost of attempts that was refunded", ["sender", "country"])

CLAIM_WITHIN_BUDGETS = load_sql("sms_service.delivery", "claim_within_budgets.sql")
FAIL_OVER_WITHIN_BUDGETS = load_sql("sms_service.delivery", "fail_over_within_budgets.sql")
REFUND_ATTEMPTS = load_sql("sms_service.delivery", "refund_attempts.sql")

REFUND_TRIES = 3
"""A refund waits at most 1.5 s for rows that another session has locked, each time."""

_FREE = frozenset({Outcome.MISCONFIGURED, Outcome.REFUSED, Outcome.RATE_LIMITED})
"""Outcomes for which a provider rejected the message. A message that may have left stays charged."""

log = structlog.get_logger()


class _ClaimResult(Enum):
    """What a batch did with one of its messages."""

    CLAIMED = "claimed"
    CROWDED_OUT = "crowded_out"
    """The budgets have room for the message alone, but not together with the messages before it in the batch."""
    NEVER_FITS = "never_fits"
    GONE = "gone"
    """The message has been claimed, has ended, or its code has expired."""


class BudgetedLedger:
    """The ledger in which each attempt has a cost. Messages to be claimed carry theirs.

    ``on_surge`` is called when a range of numbers has been sent ``surge_size`` unverified messages within five minutes;
    a size of 0 turns that off.
    """

    def __init__(
        self, pool: Pool, ledger: LedgerStore, on_surge: Callable[[], None] = lambda: None, surge_size: int = 0
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._on_surge = on_surge
        self._surge_size = surge_size
        self.find_queued, self.find_stale = ledger.find_queued, ledger.find_stale
        self._claim = Batcher(self._claim_all)
        self._refund = Batcher(self._refund_all)

    async def claim(self, message: LedgerMessage, sender: str) -> LedgerMessage | None:
        """As ``LedgerStore.claim``. Raises ``OverBudgetError`` if a budget of the number has no room for the cost."""
        while (result := await self._claim((message, sender))) is _ClaimResult.CROWDED_OUT:
            pass  # this ends: each statement claims at least one message, or finds that none of its batch fits
        if result is _ClaimResult.NEVER_FITS:
            raise OverBudgetError
        if result is _ClaimResult.GONE:
            return None
        cost = _cost(message)
        SPENT.labels(sender, calling_code(cost.prefixes.country)).inc(cost.micros)
        return message.with_attempt(sender)

    async def _claim_all(self, claims: Sequence[tuple[LedgerMessage, str]]) -> list[_ClaimResult]:
        # Of two commands for one message in a batch, the first gets it.
        first_claims: dict[UUID, tuple[LedgerMessage, str]] = {}
        for message, sender in claims:
            first_claims.setdefault(message.message_id, (message, sender))
        messages = [message for message, _ in first_claims.values()]
        costs = [_cost(message) for message in messages]
        arguments = CLAIM_WITHIN_BUDGETS.arguments(
            message_ids=list(first_claims),
            versions=[message.version for message in messages],
            senders=[sender for _, sender in first_claims.values()],
            segments=[message.segments for message in messages],
            costs=[cost.micros for cost in costs],
            ranges=[cost.prefixes.range for cost in costs],
            networks=[cost.prefixes.network for cost in costs],
            countries=[cost.prefixes.country for cost in costs],
            bucket_seconds=BUCKET_SECONDS,
            **_charged_budgets(messages),
            **_limits(messages),
        )
        async with connection(self._pool) as conn:
            rows = await conn.fetch(CLAIM_WITHIN_BUDGETS.text, *arguments)
        if rows and 0 < self._surge_size <= (rows[0]["max_unverified"] or 0):
            self._on_surge()
        results = {row["message_id"]: _ClaimResult(row["result"]) for row in rows}
        return [results.pop(message.message_id, _ClaimResult.GONE) for message, _ in claims]

    async def fail_over(self, message: LedgerMessage, sender: str, first: FinalState) -> LedgerMessage | None:
        """As ``LedgerStore.fail_over``, and refund a first attempt that cost nothing. Raises ``OverBudgetError``."""
        cost = _cost(message)
        refund = message.previous_cost.micros if message.previous_cost is not None and _is_free(first) else 0
        arguments = _fail_over_arguments(message, sender, first, refund)
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(FAIL_OVER_WITHIN_BUDGETS.text, *arguments)
        if row is None or not row["locked"]:
            return None
        if row["moved"] is None:
            raise OverBudgetError
        country = calling_code(cost.prefixes.country)
        SPENT.labels(sender, country).inc(cost.micros)
        REFUNDED.labels(message.sender, country).inc(refund)
        return message.with_attempt(sender)

    async def finish(self, message: LedgerMessage, final_state: FinalState, event: OutboxMessage) -> bool:
        """As ``LedgerStore.finish``. A failed attempt is taken out of the counts, and refunded if it cost nothing."""
        recorded = await self._ledger.finish(message, final_state, event)
        if recorded and final_state.state is MessageState.FAILED and message.cost is not None:
            await self._refund_failed(message, message.cost, message.cost.micros if _is_free(final_state) else 0)
        return recorded

    async def _refund_failed(self, message: LedgerMessage, cost: MessageCost, refund: int) -> None:
        """Refund after the final state is recorded: a worker that dies in between leaves the attempt charged."""
        try:
            await self._refund_patiently(message, refund)
        except Exception as error:  # noqa: BLE001  the message has ended, and its event must not depend on the refund
            log.warning("cost.not_refunded", message_id=str(message.message_id), error=type(error).__name__)
        else:
            REFUNDED.labels(message.sender, calling_code(cost.prefixes.country)).inc(refund)

    async def _refund_patiently(self, message: LedgerMessage, refund: int) -> None:
        """Refund, and try again after a statement that was rolled back. After any other error it may have counted."""
        for _ in range(REFUND_TRIES - 1):
            try:
                await self._refund((message, refund))
            except ServiceError as error:
                if not is_rolled_back(error):
                    raise
            else:
                return
        await self._refund((message, refund))

    async def _refund_all(self, refunds: Sequence[tuple[LedgerMessage, int]]) -> list[None]:
        messages = [message for message, _ in refunds]
        arguments = REFUND_ATTEMPTS.arguments(
            message_ids=[message.message_id for message in messages],
            senders=[message.sender for message in messages],
            refunds=[refund for _, refund in refunds],
            ranges=[_cost(message).prefixes.range for message in messages],
            bucket_seconds=BUCKET_SECONDS,
            **_charged_budgets(messages),
        )
        async with connection(self._pool) as conn:
            await conn.execute(REFUND_ATTEMPTS.text, *arguments)
        return [None] * len(refunds)


def _fail_over_arguments(message: LedgerMessage, sender: str, first: FinalState, refund: int) -> list[object]:
    cost = _cost(message)
    windows = _windows([message])
    return FAIL_OVER_WITHIN_BUDGETS.arguments(
        message_id=message.message_id,
        version=message.version,
        sender=sender,
        outcome=first.outcome,
        detail=first.detail,
        provider_id=first.provider_id,
        segments=message.segments,
        cost=cost.micros,
        refund=refund,
        range=cost.prefixes.range,
        bucket_seconds=BUCKET_SECONDS,
        prefixes=[budget.prefix for budget, _, _ in windows],
        spans=[span for _, span, _ in windows],
        max_spent=[budget.limit_for(limit, is_known=message.for_known) for budget, _, limit in windows],
    )


def _is_free(final_state: FinalState) -> bool:
    return final_state.failure in _FREE or final_state.detail == "circuit_open"


def _cost(message: LedgerMessage) -> MessageCost:
    assert message.cost is not None  # noqa: S101  a sender pool with prices gives every message its cost
    return message.cost


def _charged_budgets(messages: Sequence[LedgerMessage]) -> dict[str, list[object]]:
    """The budgets of each message, as pairs of message and prefix, and the windows of all these budgets."""
    pairs = [(message.message_id, budget) for message in messages for budget in _cost(message).budgets]
    windows = _windows(messages)
    return {
        "charged_message_ids": [message_id for message_id, _ in pairs],
        "charged_prefixes": [budget.prefix for _, budget in pairs],
        "prefixes": [budget.prefix for budget, _, _ in windows],
        "spans": [span for _, span, _ in windows],
    }


def _limits(messages: Sequence[LedgerMessage]) -> dict[str, list[object]]:
    """Up to where the windows of all budgets may be spent, in the order of ``_charged_budgets``."""
    windows = _windows(messages)
    return {
        "max_spent": [limit for _, _, limit in windows],
        "max_spent_by_strangers": [budget.limit_for(limit, is_known=False) for budget, _, limit in windows],
    }


def _windows(messages: Sequence[LedgerMessage]) -> list[tuple[Budget, str, int]]:
    """The windows of the budgets of all messages, each with its limit."""
    budgets = dict.fromkeys(budget for message in messages for budget in _cost(message).budgets)
    return [(budget, span, limit) for budget in budgets for span, limit in budget.spans]
