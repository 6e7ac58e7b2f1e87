"""Records what happened to a number without changing it: refusals, incorrect codes, and codes that were unusable."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from prometheus_client import Counter

from shared.audit.log_throttle import LogThrottle
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import OutboxMessage
from shared.events.words import Limiter
from shared.internal_api.sms import CheckCode, IssueCode
from shared.phone import E164
from sms_service import events
from sms_service.spending.refusals import SPENDING_LIMITER, BlockedError
from sms_service.verification.audit_events import CALLER, EventKind, VerificationEvent
from sms_service.verification.models import CheckAttempt, CodeCheck

UNUSABLE_CHECKS_PER_MINUTE = 600
"""How many unusable codes one process records, over all numbers."""

BLOCKED_PER_MINUTE = 600
"""For how many numbers with a blocked prefix one process records a refusal: traffic pumping requests all of them."""

REFUSED = Counter(
    "haoma_codes_refused_total", "Requests for a code that were refused", ["limiter", "purpose", "dialect"]
)

LIMITERS: Mapping[ErrorCode, Limiter] = {
    ErrorCode.CALLER_LIMIT: CALLER,
    ErrorCode.SENDING_PAUSED: SPENDING_LIMITER,
    ErrorCode.COOLDOWN: "cooldown",
    ErrorCode.DAILY_CAP: "daily_cap",
    ErrorCode.NUMBER_REFUSED: "number_refused",
    ErrorCode.NUMBER_TAKEN: "number_taken",
    ErrorCode.NO_ACCOUNT: "no_account",
}
"""What refuses a code, by the error that the caller gets."""

log = structlog.get_logger()


class AuditRepository(Protocol):
    """Stores verification events. Each call is atomic.

    ``record_unusable`` returns whether a new code would not help the caller either: too many incorrect codes count on
    them.
    """

    async def record_event(self, event: VerificationEvent, messages: Sequence[OutboxMessage]) -> None: ...
    async def record_unusable(self, check: CodeCheck, dialect: str, *, is_recorded: bool) -> bool: ...


class AuditRecorder:
    """``wake`` is called after each commit to the outbox."""

    def __init__(self, repository: AuditRepository, wake: Callable[[], None]) -> None:
        self._repository = repository
        self._wake = wake
        self._limited_places = LogThrottle()
        self._unusable_checks = LogThrottle(max_sources=UNUSABLE_CHECKS_PER_MINUTE)
        self._blocked_numbers = LogThrottle(max_sources=BLOCKED_PER_MINUTE)

    async def record_refusal(self, request: IssueCode, number: E164, ref: int, error: ServiceError) -> None:
        """Publish and store a refusal.

        Refusals by the caller limit and by spending are sampled to one a minute for each place and each number, so that
        a flood cannot amplify writes. Metrics and logs count all of them.
        """
        limiter, wait = _limiter(error), error.retry_after
        if self._is_sampled(limiter, request, ref):
            data = events.event_data(number, ref, request.purpose, request.dialect)
            detail = error.reason if isinstance(error, BlockedError) else limiter
            event = VerificationEvent(
                ref,
                EventKind.REFUSED,
                request.purpose,
                request.dialect,
                request.source.network,
                detail=detail,
                retry_after=wait,
            )
            await self._repository.record_event(event, [events.refused(data, limiter, wait)])
            self._wake()
        REFUSED.labels(limiter, request.purpose.value, request.dialect).inc()
        log.info("code.refused", limiter=limiter, purpose=request.purpose.value, dialect=request.dialect)

    def _is_sampled(self, limiter: str, request: IssueCode, ref: int) -> bool:
        if limiter == CALLER:
            return self._limited_places.allow(request.source.place)
        return limiter != SPENDING_LIMITER or self._blocked_numbers.allow(str(ref))

    async def record_incorrect(self, request: CheckCode, attempt: CheckAttempt, data: dict[str, Any]) -> None:
        """Publish and store that an incorrect code was entered."""
        left = attempt.tries_left
        event = VerificationEvent(
            attempt.phone_ref,
            EventKind.INCORRECT,
            request.purpose,
            request.dialect,
            request.source.network,
            attempt.verification_id,
            tries_left=left,
        )
        await self._repository.record_event(event, [events.failed(data, attempt.version, left)])
        self._wake()

    async def record_unusable(self, check: CodeCheck, dialect: str) -> bool:
        """Store that a code was entered which no verification accepts, at most once a minute for each number.

        Returns whether a new code would not help the caller either. Callers that name a number are not told, so it is
        not looked up for them more often than it is stored.
        """
        is_recorded = self._unusable_checks.allow(str(check.phone_ref or check.verification_id))
        if not is_recorded and check.phone_ref is not None:
            return False
        return await self._repository.record_unusable(check, dialect, is_recorded=is_recorded)


def _limiter(error: ServiceError) -> Limiter:
    return LIMITERS.get(error.code, "other")
