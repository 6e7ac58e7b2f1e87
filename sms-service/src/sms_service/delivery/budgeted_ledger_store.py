"""Claims that cost money: charged with the claim, in one statement, so that no number of workers spends too much."""

from collections.abc import Callable, Sequence
from enum import Enum
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.batching import Batcher
from shared.events import OutboxMessage
from shared.postgres import Pool, connection
from sms_service.delivery.charge_statements import CLAIM, FAIL_OVER, TAKE_BACK
from sms_service.delivery.delivery import FinalState, LedgerMessage, MessageState, OverBudgetError
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.senders.port import Outcome
from sms_service.spending.money import Budget, MessageCost
from sms_service.spending.prefixes import calling_code

SPENT = Counter("haoma_spent_micros_total", "Money charged for attempts, in millionths", ["sender", "country"])
GIVEN_BACK = Counter("haoma_given_back_micros_total", "Of it, what surely cost nothing", ["sender", "country"])

_FREE = frozenset({Outcome.MISCONFIGURED, Outcome.REFUSED, Outcome.RATE_LIMITED})
"""Answers of a provider that turned the message away at its door. Whatever may have left, stays charged."""
log = structlog.get_logger()


class _Answer(Enum):
    """What became of one message of a batch. One that was crowded out would have had room by itself."""

    PAID = "paid"
    CROWDED_OUT = "crowded out"
    OVER_BUDGET = "over budget"
    GONE = "gone"
    """Taken, done, or past its life."""


class BudgetedLedger:
    """The ledger, with a price on every attempt. Entries that it is given to claim carry their charge.

    ``alarm`` is called when a block of numbers was given ``alarming`` messages within five minutes from which no code
    has come back; 0 is never.
    """

    def __init__(
        self, pool: Pool, ledger: LedgerStore, alarm: Callable[[], None] = lambda: None, alarming: int = 0
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._alarm = alarm
        self._alarming = alarming
        self.find, self.stale = ledger.find, ledger.stale
        self._claim = Batcher(self._claim_all)
        self._take_back = Batcher(self._take_back_all)

    async def claim(self, entry: LedgerMessage, sender: str) -> LedgerMessage | None:
        """As the ledger's. Raises ``OverBudgetError`` when a budget of the number has no room for it."""
        while (answer := await self._claim((entry, sender))) is _Answer.CROWDED_OUT:
            pass  # each statement pays somebody, or tells all of its batch that they are too dear
        if answer is _Answer.OVER_BUDGET:
            raise OverBudgetError
        if answer is _Answer.GONE:
            return None
        charge = _charge(entry)
        SPENT.labels(sender, calling_code(charge.prefixes.country)).inc(charge.micros)
        return entry.begun(sender)

    async def _claim_all(self, wanted: Sequence[tuple[LedgerMessage, str]]) -> list[_Answer]:
        first: dict[UUID, tuple[LedgerMessage, str]] = {}
        for entry, sender in wanted:
            first.setdefault(entry.message_id, (entry, sender))
        entries = [entry for entry, _ in first.values()]
        charges = [_charge(entry) for entry in entries]
        async with connection(self._pool) as conn:
            rows = await conn.fetch(
                CLAIM,
                list(first),
                [entry.version for entry in entries],
                [sender for _, sender in first.values()],
                [entry.segments for entry in entries],
                [charge.micros for charge in charges],
                *_columns([charge.prefixes for charge in charges], 3),
                *_payers(entries),
            )
        if rows and 0 < self._alarming <= (rows[0]["busiest"] or 0):
            self._alarm()
        found = {row["message_id"]: _Answer(row["answer"]) for row in rows}
        # Of two commands for one message that came together, the first has it.
        return [found.pop(entry.message_id, _Answer.GONE) for entry, _ in wanted]

    async def fail_over(self, entry: LedgerMessage, answer: FinalState, sender: str) -> LedgerMessage | None:
        """As the ledger's, and a first attempt that cost nothing is given back. Raises ``OverBudgetError``."""
        second = _charge(entry)
        back = entry.replaced.micros if entry.replaced is not None and _is_free(answer) else 0
        async with connection(self._pool) as conn:
            row = await conn.fetchrow(
                FAIL_OVER,
                entry.message_id,
                entry.version,
                sender,
                answer.outcome,
                answer.detail,
                answer.provider_id,
                entry.segments,
                second.micros,
                back,
                *_limits(set(second.budgets)),
                second.prefixes.range,
            )
        if row is None or not row["held"]:
            return None
        if row["moved"] is None:
            raise OverBudgetError
        country = calling_code(second.prefixes.country)
        SPENT.labels(sender, country).inc(second.micros)
        GIVEN_BACK.labels(entry.sender, country).inc(back)
        return entry.begun(sender)

    async def finish(self, entry: LedgerMessage, ending: FinalState, told: OutboxMessage) -> bool:
        """As the ledger's. An attempt that failed is taken out of the counts, and given back if it cost nothing."""
        done = await self._ledger.finish(entry, ending, told)
        if done and ending.state is MessageState.FAILED and entry.charge is not None:
            await self._give_back(entry, entry.charge, entry.charge.micros if _is_free(ending) else 0)
        return done

    async def _give_back(self, entry: LedgerMessage, charge: MessageCost, micros: int) -> None:
        """After the end is recorded: a worker that dies in between leaves it charged, never the other way."""
        try:
            await self._take_back((entry, micros))
        except Exception as error:  # noqa: BLE001  the message has ended, which must be told whatever becomes of its price
            log.warning("spending.not_given_back", message_id=str(entry.message_id), error=type(error).__name__)
        else:
            GIVEN_BACK.labels(entry.sender, calling_code(charge.prefixes.country)).inc(micros)

    async def _take_back_all(self, failed: Sequence[tuple[LedgerMessage, int]]) -> list[None]:
        entries = [entry for entry, _ in failed]
        async with connection(self._pool) as conn:
            await conn.execute(
                TAKE_BACK,
                [entry.message_id for entry in entries],
                [entry.sender for entry in entries],
                [micros for _, micros in failed],
                [_charge(entry).prefixes.range for entry in entries],
                *_payers(entries),
            )
        return [None] * len(failed)


def _is_free(ending: FinalState) -> bool:
    return ending.failure in _FREE or ending.detail == "circuit_open"


def _charge(entry: LedgerMessage) -> MessageCost:
    assert entry.charge is not None  # noqa: S101  whoever has prices has priced it
    return entry.charge


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    return [[row[place] for row in rows] for place in range(width)]


def _payers(entries: Sequence[LedgerMessage]) -> list[list[object]]:
    """The columns message and prefix of each budget of some messages, and then those of all these budgets."""
    pairs = [(entry.message_id, budget) for entry in entries for budget in _charge(entry).budgets]
    named = _columns([(message_id, budget.prefix) for message_id, budget in pairs], 2)
    return [*named, *_limits({budget for _, budget in pairs})]


def _limits(budgets: set[Budget]) -> list[list[object]]:
    """All windows of some budgets, as the columns prefix, span and most."""
    return _columns([(budget.prefix, span, most) for budget in budgets for span, most in budget.spans], 3)
