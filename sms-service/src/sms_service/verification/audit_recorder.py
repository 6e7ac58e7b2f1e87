"""Tells and keeps what happened to a number and changed nothing: refusals, wrong codes, codes that open nothing."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError
from shared.events import OutboxMessage
from shared.internal_api.sms import CheckCode, IssueCode, Purpose
from shared.phone import E164, PhoneKeys
from sms_service import events
from sms_service.callers.log_throttle import LogThrottle
from sms_service.callers.networks import CallerNetworks
from sms_service.spending.refusals import SPENDING_LIMITER, BlockedError
from sms_service.verification.audit_events import CALLER, EventKind, VerificationEvent
from sms_service.verification.limits import TRIES_PER_CODE
from sms_service.verification.models import CheckAttempt

UNUSABLE_CHECKS_PER_MINUTE = 600
"""How many codes that open nothing one process keeps, over all numbers."""

BLOCKED_PER_MINUTE = 600
"""How many numbers of stopped prefixes one process tells of: who pumps asks for all of them."""

REFUSED = Counter("haoma_codes_refused_total", "Codes asked for and not sent", ["limiter"])

log = structlog.get_logger()


class AuditRepository(Protocol):
    """Where happenings are kept. Each call is atomic."""

    async def tell(self, messages: Sequence[OutboxMessage], event: VerificationEvent) -> None: ...
    async def record_unusable(
        self, phone_ref: int | None, purpose: Purpose, verification_id: UUID | None, dialect: str
    ) -> None: ...


class AuditRecorder:
    """``wake`` is called after something was committed for the outbox."""

    def __init__(self, repository: AuditRepository, phones: PhoneKeys, wake: Callable[[], None]) -> None:
        self._repository = repository
        self._phones = phones
        self._wake = wake
        self._of_callers = LogThrottle()
        self._of_guesses = LogThrottle(most=UNUSABLE_CHECKS_PER_MINUTE)
        self._of_stopped = LogThrottle(most=BLOCKED_PER_MINUTE)

    async def refused(self, call: IssueCode, number: E164, error: ServiceError) -> None:
        """Tell a refusal; of callers over their limit once a minute, or each of their calls would cost us writes.

        So it is with numbers whose prefix is stopped.
        """
        ref, wait = self._phones.ref(number), error.retry_after
        limiter = _limiter(error)
        if limiter == CALLER:
            is_told = self._of_callers.allow(CallerNetworks.of(call.address).site)
        else:
            is_told = limiter != SPENDING_LIMITER or self._of_stopped.allow(str(ref))
        if is_told:
            about = events.about(number, ref, call.purpose, call.dialect)
            why = error.reason if isinstance(error, BlockedError) else limiter
            event = VerificationEvent(ref, EventKind.REFUSED, call.purpose, call.dialect, detail=why, retry_after=wait)
            await self._repository.tell([events.refused(about, limiter, wait)], event)
            self._wake()
        REFUSED.labels(limiter).inc()
        log.info("code.refused", limiter=limiter, purpose=call.purpose.value, dialect=call.dialect)

    async def wrong(self, call: CheckCode, attempt: CheckAttempt, about: dict[str, Any]) -> None:
        """Tell that a wrong code came back."""
        identity, left = attempt.verification_id, TRIES_PER_CODE - attempt.tries
        event = VerificationEvent(
            attempt.phone_ref, EventKind.WRONG, call.purpose, call.dialect, identity, tries_left=left
        )
        await self._repository.tell([events.failed(about, attempt.version, left)], event)
        self._wake()

    async def dead(self, call: CheckCode) -> None:
        """Keep that a code came back which opens nothing; once a minute for a number, so that a flood writes little."""
        ref = self._phones.ref(E164(call.phone)) if call.phone else None
        if self._of_guesses.allow(str(ref or call.verification_id)):
            await self._repository.record_unusable(ref, call.purpose, call.verification_id, call.dialect)


def _limiter(error: ServiceError) -> str:
    if isinstance(error, BlockedError):
        return SPENDING_LIMITER
    return CALLER if error.code is ErrorCode.CALLER_LIMIT else error.code.value
