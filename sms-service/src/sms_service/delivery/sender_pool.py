"""Everybody who can be asked to carry a message: chosen by the routes, guarded by breakers, answering in time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter

from sms_service.delivery.circuit_breakers import Breakers
from sms_service.delivery.routing import EXHAUSTED, Choice, Limits, PreviousAttempt, Route, Router
from sms_service.senders.port import SEND_SECONDS, Message, Outcome, Sender, SendResult, redact
from sms_service.spending.money import Tariff
from sms_service.spending.refusals import BUDGET_EXHAUSTED, CHEAPER_UNAVAILABLE

ATTEMPTS = Counter("haoma_send_attempts_total", "Calls of senders by what they answered", ["sender", "outcome"])

log = structlog.get_logger()


class SenderPool:
    """The senders of one settings file, its routes and limits."""

    def __init__(
        self,
        senders: Sequence[Sender],
        routes: Sequence[Route],
        limits: Mapping[str, Limits],
        breakers: Breakers | None = None,
        tariff: Tariff | None = None,
    ) -> None:
        self._senders = {sender.name: sender for sender in senders}
        self._breakers = breakers or Breakers()
        self._router = Router(routes, limits, self._breakers.is_open)
        self._tariff = tariff
        self._quoting: set[str] = set()

    @classmethod
    def only(cls, sender: Sender) -> "SenderPool":
        """One sender for everybody."""
        return cls([sender], [Route("+", (sender.name,))], {})

    def choose(
        self,
        message: Message,
        verification_id: UUID,
        past: Sequence[PreviousAttempt],
        tried: str | None = None,
        *,
        dear: str | None = None,
    ) -> Choice:
        """Who is asked next, and what it costs; or why nobody is.

        ``tried`` has just failed for this message. There was no money for ``dear``: only who asks less is asked then.
        """
        without = self._as_dear(dear, message) if dear else ()
        choice = self._router.choose(message.to, message.message_id, verification_id, past, tried, without=without)
        if choice.sender is None and dear:
            return Choice(None, BUDGET_EXHAUSTED if choice.failure == EXHAUSTED else CHEAPER_UNAVAILABLE)
        if choice.sender is None:
            return choice
        if self._tariff is None:
            return choice
        return replace(choice, charge=self._tariff.charge(choice.sender, message.to, message.segments))

    def _as_dear(self, dear: str, message: Message) -> set[str]:
        """The senders that would ask no less than one of them."""
        tariff = self._tariff
        if tariff is None:
            return set()
        most = tariff.price(dear, message.to)
        return {name for name in self._senders if tariff.price(name, message.to) >= most}

    async def send(self, name: str, message: Message, remaining: timedelta) -> SendResult:
        """Ask one sender, while the code lives and no longer than ``SEND_SECONDS``. Raises nothing of the sender's.

        What is returned holds neither the code nor the number, whatever the provider quoted.
        """
        said = await self._ask(name, message, remaining)
        answer = redact(said, message)
        if said.provider_id and not answer.provider_id and name not in self._quoting:
            self._quoting.add(name)
            log.warning("sender.id_withheld", sender=name)
        ATTEMPTS.labels(name, answer.outcome.value).inc()
        if answer.outcome is not Outcome.ACCEPTED:
            log.warning(
                "message.not_accepted",
                message_id=str(message.message_id),
                sender=name,
                outcome=answer.outcome.value,
                detail=answer.detail,
            )
        return answer

    async def _ask(self, name: str, message: Message, remaining: timedelta) -> SendResult:
        try:
            async with asyncio.timeout(min(SEND_SECONDS, remaining.total_seconds())):
                return await self._breakers.send(self._senders[name], message)
        except TimeoutError:
            return SendResult(Outcome.TRANSIENT, "timeout")
        except Exception as error:  # noqa: BLE001  a library may raise whatever it likes
            # The message may have left, so what must not happen is a second try by the same sender. The error's
            # text stays out of the log: a library may quote the number or the text in it.
            log.error("sender.failed", sender=name, message_id=str(message.message_id), error=type(error).__name__)
            return SendResult(Outcome.TRANSIENT, type(error).__name__)
