"""Tells and keeps what happened to a number and changed nothing: refusals, wrong codes, codes that open nothing."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError
from shared.events import Outgoing
from shared.internal_api.sms import CheckCode, IssueCode, Purpose
from shared.phone import E164, PhoneKeys
from sms_service import events
from sms_service.callers.log_throttle import Sparing
from sms_service.callers.networks import Origin
from sms_service.spending.refusals import LIMITER, StoppedError
from sms_service.verification.audit_events import CALLER, Happening, What
from sms_service.verification.limits import TRIES_PER_CODE
from sms_service.verification.models import Try

DEAD_GUESSES_A_MINUTE = 600
"""How many codes that open nothing one process keeps, over all numbers."""

STOPPED_A_MINUTE = 600
"""How many numbers of stopped prefixes one process tells of: who pumps asks for all of them."""

REFUSED = Counter("haoma_codes_refused_total", "Codes asked for and not sent", ["limiter"])

log = structlog.get_logger()


class DiaryBook(Protocol):
    """Where happenings are kept. Each call is atomic."""

    async def tell(self, messages: Sequence[Outgoing], happening: Happening) -> None: ...
    async def note_dead(
        self, phone_ref: int | None, purpose: Purpose, verification_id: UUID | None, dialect: str
    ) -> None: ...


class Diary:
    """``wake`` is called after something was committed for the outbox."""

    def __init__(self, book: DiaryBook, phones: PhoneKeys, wake: Callable[[], None]) -> None:
        self._book = book
        self._phones = phones
        self._wake = wake
        self._of_callers = Sparing()
        self._of_guesses = Sparing(most=DEAD_GUESSES_A_MINUTE)
        self._of_stopped = Sparing(most=STOPPED_A_MINUTE)

    async def refused(self, call: IssueCode, number: E164, error: ServiceError) -> None:
        """Tell a refusal; of callers over their limit once a minute, or each of their calls would cost us writes.

        So it is with numbers whose prefix is stopped.
        """
        ref, wait = self._phones.ref(number), error.retry_after
        limiter = _limiter(error)
        if limiter == CALLER:
            is_told = self._of_callers.may_say(Origin.of(call.address).site)
        else:
            is_told = limiter != LIMITER or self._of_stopped.may_say(str(ref))
        if is_told:
            about = events.about(number, ref, call.purpose, call.dialect)
            why = error.why if isinstance(error, StoppedError) else limiter
            happening = Happening(ref, What.REFUSED, call.purpose, call.dialect, detail=why, retry_after=wait)
            await self._book.tell([events.refused(about, limiter, wait)], happening)
            self._wake()
        REFUSED.labels(limiter).inc()
        log.info("code.refused", limiter=limiter, purpose=call.purpose.value, dialect=call.dialect)

    async def wrong(self, call: CheckCode, attempt: Try, about: dict[str, Any]) -> None:
        """Tell that a wrong code came back."""
        identity, left = attempt.verification_id, TRIES_PER_CODE - attempt.tries
        happening = Happening(attempt.phone_ref, What.WRONG, call.purpose, call.dialect, identity, tries_left=left)
        await self._book.tell([events.failed(about, attempt.version, left)], happening)
        self._wake()

    async def dead(self, call: CheckCode) -> None:
        """Keep that a code came back which opens nothing; once a minute for a number, so that a flood writes little."""
        ref = self._phones.ref(E164(call.phone)) if call.phone else None
        if self._of_guesses.may_say(str(ref or call.verification_id)):
            await self._book.note_dead(ref, call.purpose, call.verification_id, call.dialect)


def _limiter(error: ServiceError) -> str:
    if isinstance(error, StoppedError):
        return LIMITER
    return CALLER if error.code is ErrorCode.CALLER_LIMIT else error.code.value
