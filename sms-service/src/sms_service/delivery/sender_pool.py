"""The senders of one settings file: chosen by routes and prices, guarded by circuit breakers, each with a deadline."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.deadline import TimeLimit
from shared.process.metric_children import child
from shared.trace import span
from sms_service.delivery.circuit_breakers import CircuitBreakers
from sms_service.delivery.routing import EXHAUSTED, PreviousAttempt, Route, Router, SenderChoice
from sms_service.senders.limits import SenderLimits
from sms_service.senders.port import (
    SEND_SECONDS,
    Outcome,
    OutgoingMessage,
    PrepaidSender,
    Sender,
    SendResult,
    redact,
)
from sms_service.spending.money import Tariff
from sms_service.spending.refusals import BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE

ATTEMPTS = Counter("haoma_send_attempts_total", "Calls of senders by their outcome", ["sender", "outcome"])

log = structlog.get_logger()


class SenderPool:
    """Chooses senders and sends through them."""

    def __init__(
        self,
        senders: Sequence[Sender],
        routes: Sequence[Route],
        limits: Mapping[str, SenderLimits],
        breakers: CircuitBreakers | None = None,
        tariff: Tariff | None = None,
    ) -> None:
        self._senders = {sender.name: sender for sender in senders}
        self._breakers = breakers or CircuitBreakers()
        self._router = Router(routes, limits, self._breakers.is_open)
        self._tariff = tariff
        self._withheld_ids: set[str] = set()
        self._limit = TimeLimit(SEND_SECONDS)

    @classmethod
    def of_one(cls, sender: Sender) -> "SenderPool":
        """A pool with one sender, which serves all numbers."""
        return cls([sender], [Route("+", (sender.name,))], {})

    def prepaid(self, names: Container[str]) -> list[PrepaidSender]:
        """Those of the named senders that tell a balance."""
        return [sender for name, sender in self._senders.items() if name in names and isinstance(sender, PrepaidSender)]

    def choose(
        self,
        outgoing: OutgoingMessage,
        verification_id: UUID,
        previous_attempts: Sequence[PreviousAttempt],
        *,
        failed_sender: str | None = None,
        unaffordable_sender: str | None = None,
    ) -> SenderChoice:
        """The sender to try next and the cost of the message, or the failure that says why there is none.

        ``failed_sender`` has just failed for this message. If the budgets could not pay ``unaffordable_sender``, only
        cheaper senders are considered.
        """
        choice = self._router.choose(
            outgoing.to,
            outgoing.message_id,
            verification_id,
            previous_attempts,
            failed_sender=failed_sender,
            excluded=self._not_cheaper_than(unaffordable_sender, outgoing) if unaffordable_sender else (),
        )
        if choice.sender is None and unaffordable_sender:
            return SenderChoice(None, BUDGET_EXHAUSTED if choice.failure == EXHAUSTED else CHEAPER_UNAVAILABLE)
        if choice.sender is None or self._tariff is None:
            return choice
        return replace(choice, cost=self._tariff.cost(choice.sender, outgoing.to, outgoing.segments))

    def _not_cheaper_than(self, sender: str, outgoing: OutgoingMessage) -> Container[str]:
        tariff = self._tariff
        if tariff is None:
            return ()
        price = tariff.price(sender, outgoing.to)
        return {name for name in self._senders if tariff.price(name, outgoing.to) >= price}

    async def send(self, name: str, outgoing: OutgoingMessage, remaining: timedelta) -> SendResult:
        """Send through one sender, for at most ``SEND_SECONDS`` and while the code is valid; never raises its errors.

        The result contains neither the code nor the number, even if the provider quotes them.
        """
        with span(f"send by {name}", "client"):
            unredacted = await self._send(name, outgoing, remaining)
        result = redact(unredacted, outgoing)
        if unredacted.provider_id and not result.provider_id:
            self._report_withheld_id(name)
        self._report_result(name, outgoing, result)
        return result

    def _report_withheld_id(self, name: str) -> None:
        """Log once for each sender that its provider's ids are not stored."""
        if name not in self._withheld_ids:
            self._withheld_ids.add(name)
            log.warning("provider_id.withheld", sender=name)

    def _report_result(self, name: str, outgoing: OutgoingMessage, result: SendResult) -> None:
        child(ATTEMPTS, name, result.outcome.value).inc()
        if result.outcome is not Outcome.ACCEPTED:
            log.warning(
                "message.not_accepted",
                message_id=str(outgoing.message_id),
                sender=name,
                outcome=result.outcome.value,
                detail=result.detail,
            )

    async def _send(self, name: str, outgoing: OutgoingMessage, remaining: timedelta) -> SendResult:
        sending = self._breakers.send(name, partial(self._attempt, name, outgoing))
        if remaining.total_seconds() >= SEND_SECONDS:  # true for nearly every code
            return await sending
        try:
            with TimeLimit(remaining.total_seconds())():
                return await sending
        except TimeoutError:  # which says nothing about the sender
            return SendResult(Outcome.TRANSIENT, "timeout")

    async def _attempt(self, name: str, outgoing: OutgoingMessage) -> SendResult:
        try:
            with self._limit():
                return await self._senders[name].send(outgoing)
        except TimeoutError:
            return SendResult(Outcome.TRANSIENT, "timeout")
        except Exception as error:  # noqa: BLE001  the libraries of providers raise all kinds of exceptions
            # TRANSIENT, because the message may have left, and this sender must not get it again. The error's text
            # is not logged, because a library may quote the number or the text in it.
            log.error("sender.failed", sender=name, message_id=str(outgoing.message_id), error=type(error).__name__)
            return SendResult(Outcome.TRANSIENT, type(error).__name__)
