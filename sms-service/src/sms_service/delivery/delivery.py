"""Delivers messages: compose, claim, send, record. A sender gets a message at most once, even if a worker dies."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from prometheus_client import Counter, Histogram

from shared.events.catalogue import MessageExpired, MessageFailed, MessageSent
from shared.events.envelope import OutboxMessage, new_event
from shared.phone import E164
from shared.process.metric_children import child
from sms_service.delivery.ledger import (
    ABANDONED,
    ABANDONED_AFTER,
    FinalState,
    Ledger,
    LedgerMessage,
    MessageState,
    OverBudgetError,
)
from sms_service.delivery.sender_pool import SenderPool
from sms_service.events import SOURCE
from sms_service.messages.templates import BUILT_IN, MessageContext, Texts
from sms_service.number_seal import NumberSeal
from sms_service.otp import CodeDeriver
from sms_service.send_command import QueuedMessage
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult
from sms_service.spending.gate import NO_SPENDING_LIMITS
from sms_service.spending.refusals import BlockedError

SWEEP_BATCH = 500

FINISHED = Counter("haoma_messages_finished_total", "Messages by their final state", ["sender", "outcome"])
LATENCY = Histogram(
    "haoma_message_duration_seconds",
    "Time from the request for a code to the sender's response",
    ["sender"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
SENT = Counter("haoma_codes_sent_total", "Codes that a sender accepted", ["purpose", "dialect"])
SEGMENTS = Counter("haoma_message_segments_total", "SMS segments of accepted messages", ["sender"])

_NO_FAILOVER = frozenset({Outcome.ACCEPTED, Outcome.INVALID_NUMBER})
"""Outcomes after which no second sender is tried."""

log = structlog.get_logger()


class QueuedSpendingGuard(Protocol):
    """Raises ``BlockedError`` for a message of this age whose number was blocked after the message was requested.

    ``is_known`` says that a caller asked for it who is known to the number.
    """

    async def admit_queued(self, number: E164, age: timedelta, *, is_known: bool) -> None: ...


class UndeliverableError(Exception):
    """The message cannot be given to any sender. ``failure`` goes into the ledger and into the event."""

    def __init__(self, failure: str, detail: str = "") -> None:
        super().__init__(failure)
        self.failure = failure
        self.detail = detail


HandOver = Callable[[Sequence[OutboxMessage]], None]
BeginAttempt = Callable[[LedgerMessage, str], Awaitable[LedgerMessage | None]]
"""Begins an attempt by the named sender in the ledger. Raises ``OverBudgetError``."""


class Delivery:
    """Carries out send commands. ``hand_over`` gets each event after it was committed to the outbox.

    ``clock`` tells how old a message is that a command carries.
    """

    def __init__(
        self,
        ledger: Ledger,
        sender_pool: SenderPool,
        deriver: CodeDeriver,
        seal: NumberSeal,
        hand_over: HandOver,
        *,
        texts: Texts = BUILT_IN,
        spending_guard: QueuedSpendingGuard = NO_SPENDING_LIMITS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._sender_pool = sender_pool
        self._deriver = deriver
        self._seal = seal
        self._hand_over = hand_over
        self._texts = texts
        self._spending_guard = spending_guard
        self._clock = clock

    async def deliver(self, message_id: UUID, queued: QueuedMessage | None = None) -> None:
        """Send one queued message while its code is valid, through a second sender if the first one fails.

        It is read from the ledger, unless it was just queued and the command carries it. Each attempt is committed
        before its sender is called, so a second command for the message finds it claimed.
        """
        message = LedgerMessage.fresh(message_id, queued, self._clock()) if queued else None
        if message is None:
            message = await self._ledger.find_queued(message_id)
        if message is None:
            log.info("message.skipped", message_id=str(message_id), reason="not_queued")
        elif message.remaining <= timedelta():
            await self._record(message, FinalState(MessageState.EXPIRED), message.age)
        else:
            await self._deliver_valid(message)

    async def _deliver_valid(self, message: LedgerMessage) -> None:
        started = time.monotonic()
        try:
            outgoing = self._compose(message)
            claimed = await self._claim(message.with_segments(outgoing.segments), outgoing)
        except UndeliverableError as error:
            final_state = FinalState(MessageState.FAILED, error.failure, error.detail)
            await self._record(message, final_state, message.age)
            return
        if claimed is None:
            log.info("message.skipped", message_id=str(message.message_id), reason="already_claimed")
            return
        sent, result = await self._send(claimed, outgoing)
        await self._record(sent, FinalState.of(result), message.age + _since(started))

    def _compose(self, message: LedgerMessage) -> OutgoingMessage:
        """The message in clear. Raises ``UndeliverableError`` if a key that it needs has been removed."""
        try:
            number = self._seal.open(message.phone_sealed)
            code = self._deriver.code(message.code_key_id, message.verification_id, number, message.purpose)
        except (LookupError, InvalidTag):
            log.error("message.not_composed", message_id=str(message.message_id), key_id=message.code_key_id)
            raise UndeliverableError(Outcome.MISCONFIGURED.value, "key_missing") from None
        context = MessageContext(
            message.purpose, message.language, number, message.dialect, message.client, message.notice
        )
        text = self._texts.compose(code, context, message.remaining)
        return OutgoingMessage(
            message.message_id, number, text, code, message.purpose, message.language, message.remaining, message.notice
        )

    async def _claim(self, message: LedgerMessage, outgoing: OutgoingMessage) -> LedgerMessage | None:
        """Begin the first attempt; None if another worker has the message. Raises ``UndeliverableError``."""
        try:
            await self._spending_guard.admit_queued(outgoing.to, message.age, is_known=message.for_known)
        except BlockedError as blocked:
            raise UndeliverableError(blocked.reason) from None
        return await self._begin_attempt(message, outgoing, self._ledger.claim)

    async def _send(self, message: LedgerMessage, outgoing: OutgoingMessage) -> tuple[LedgerMessage, SendResult]:
        """Send through the claimed sender and, if it fails, through a second one. Returns the result of the last."""
        started = time.monotonic()
        result = await self._sender_pool.send(message.sender, outgoing, message.remaining)
        if result.outcome in _NO_FAILOVER:
            return message, result
        second = await self._fail_over(message, outgoing, result)
        if second is None:
            return message, result
        log.info("message.failed_over", message_id=str(message.message_id), sender=message.sender, to=second.sender)
        return second, await self._sender_pool.send(second.sender, outgoing, second.remaining - _since(started))

    async def _fail_over(
        self, message: LedgerMessage, outgoing: OutgoingMessage, result: SendResult
    ) -> LedgerMessage | None:
        """Begin the second attempt; None if there is no sender for it, or the code is no longer valid."""
        begin = partial(self._ledger.fail_over, first=FinalState.of(result))
        try:
            return await self._begin_attempt(message, outgoing, begin, failed_sender=message.sender)
        except UndeliverableError:
            return None

    async def _begin_attempt(
        self, message: LedgerMessage, outgoing: OutgoingMessage, begin: BeginAttempt, failed_sender: str | None = None
    ) -> LedgerMessage | None:
        """Begin an attempt through the first available sender that the budgets can pay."""
        choose = partial(
            self._sender_pool.choose,
            outgoing,
            message.verification_id,
            message.previous_attempts,
            failed_sender=failed_sender,
        )
        choice = choose()
        while choice.sender is not None:
            try:
                return await begin(message.with_cost(choice.cost), choice.sender)
            except OverBudgetError:
                choice = choose(unaffordable_sender=choice.sender)
        raise UndeliverableError(choice.failure)

    async def sweep(self) -> int:
        """Finish messages whose worker has died, and queued messages whose code has expired. Returns how many."""
        stale = await self._ledger.find_stale(ABANDONED_AFTER, SWEEP_BATCH)
        for message in stale:
            is_abandoned = message.state is MessageState.SENDING
            final_state = (
                FinalState(MessageState.FAILED, ABANDONED) if is_abandoned else FinalState(MessageState.EXPIRED)
            )
            await self._record(message, final_state, message.age)
        return len(stale)

    async def _record(self, message: LedgerMessage, final_state: FinalState, took: timedelta) -> None:
        event = final_event(message, final_state, took)
        if not await self._ledger.finish(message, final_state, event):
            log.warning("message.finished_elsewhere", message_id=str(message.message_id), state=final_state.state.value)
            return
        self._hand_over([event])
        _count(message, final_state, took)
        log.info(
            f"message.{final_state.state.value}",
            message_id=str(message.message_id),
            verification_id=str(message.verification_id),
            sender=message.sender,
            failure=final_state.failure,
        )


def _count(message: LedgerMessage, final_state: FinalState, took: timedelta) -> None:
    child(FINISHED, message.sender, final_state.failure or final_state.state.value).inc()
    if final_state.state is MessageState.SENT:
        child(SENT, message.purpose.value, message.dialect).inc()
        child(LATENCY, message.sender).observe(took.total_seconds())
        child(SEGMENTS, message.sender).inc(message.segments)


def final_event(message: LedgerMessage, final_state: FinalState, took: timedelta) -> OutboxMessage:
    """The event for a message that has been sent, has failed or has expired."""
    fields = {
        "message_id": str(message.message_id),
        "verification_id": str(message.verification_id),
        "sender": message.sender,
        "latency_ms": max(0, round(took.total_seconds() * 1000)),
    }
    event: MessageSent | MessageFailed | MessageExpired
    if final_state.state is MessageState.SENT:
        event = MessageSent.model_validate(fields | {"segments": message.segments})
    elif final_state.state is MessageState.EXPIRED:
        event = MessageExpired.model_validate(fields)
    else:
        event = MessageFailed.model_validate(fields | {"failure": final_state.failure})
    return new_event(event, source=SOURCE, subject=event.message_id, version=message.version + 1)


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - started)
