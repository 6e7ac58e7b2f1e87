"""Explain a number, a verification or a message: read what is kept, ask auth-service, and tell it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import SpentTickets
from shared.phone import E164, PhoneKeys, mask, ref_hex
from sms_service.explain.build_report import choose, tell
from sms_service.explain.history import Course, History
from sms_service.explain.report import Report
from sms_service.explain.request import ExplainRequest
from sms_service.retention import MESSAGE_DAYS

UNKNOWN = "a number that no row can name any more"

log = structlog.get_logger()


class HistorySubject(Protocol):
    """Whose a message or verification is."""

    @property
    def phone_ref(self) -> int: ...
    @property
    def verification_id(self) -> UUID: ...


class HistoryRepository(Protocol):
    """Where the past is read."""

    async def past(self, phone_ref: int, days: int) -> History: ...
    async def whose(self, identity: UUID) -> HistorySubject | None: ...
    async def sealed(self, phone_ref: int) -> bytes | None: ...


class Tickets(Protocol):
    """Who knows what became of tickets. Raises ``ServiceError`` when he does not answer."""

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets: ...


class Explainer:
    """Tells stories. ``days`` is how far back, and never more than is kept."""

    def __init__(self, repository: HistoryRepository, tickets: Tickets, phones: PhoneKeys) -> None:
        self._repository = repository
        self._tickets = tickets
        self._phones = phones

    async def answer(self, call: ExplainRequest) -> Report:
        """Answer an operator, and note that he asked."""
        story = await self.explain(call.about, call.days)
        by = "number" if call.phone is not None else "id"
        masked = mask(E164(story.about)) if by == "number" else story.about
        log.warning("explain.answered", who="operator", by=by, phone_ref=story.phone_ref, masked=masked)
        return story

    async def explain(self, about: E164 | UUID, days: int = MESSAGE_DAYS) -> Report:
        """The story of a number, shown in full since whoever asks knows it; or of an id, with the number masked.

        An id is that of a verification or of a message of it. Raises ``NOT_FOUND`` for an unknown one.
        """
        if isinstance(about, UUID):
            return await self._of_identity(about, days)
        return await self._tell(self._phones.ref(about), about, days)

    async def _of_identity(self, identity: UUID, days: int) -> Report:
        owner = await self._repository.whose(identity)
        if owner is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        return await self._tell(owner.phone_ref, await self._masked(owner.phone_ref), days, owner.verification_id)

    async def _tell(self, phone_ref: int, about: str, days: int, only: UUID | None = None) -> Report:
        past = await self._repository.past(phone_ref, min(days, MESSAGE_DAYS))
        chosen = choose(past, only)
        spent = await self._spent(chosen.courses, past.now)
        return tell(about, ref_hex(phone_ref), min(days, MESSAGE_DAYS), chosen, spent)

    async def _spent(self, courses: Sequence[Course], now: datetime) -> SpentTickets | None:
        """What became of the tickets, if there are any; None when auth-service does not answer."""
        verified = [course.verification_id for course in courses if course.verification_id and course.verified_at]
        if not verified:
            return SpentTickets(tickets=[], known_since=now)
        try:
            return await self._tickets.spent(verified)
        except ServiceError:
            return None

    async def _masked(self, phone_ref: int) -> str:
        sealed = await self._repository.sealed(phone_ref)
        try:
            return mask(self._phones.open(sealed)) if sealed else UNKNOWN
        except InvalidTag:
            return UNKNOWN
