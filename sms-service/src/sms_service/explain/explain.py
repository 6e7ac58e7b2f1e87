"""Explains a number, a verification or a message: reads its rows, asks auth-service, and builds the report."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import SpentTickets
from shared.phone import E164, PhoneKeys, mask, ref_hex
from sms_service.explain.build_report import build_report, select
from sms_service.explain.history import History, SampledRefusals, TimelineRows
from sms_service.explain.report import Report
from sms_service.explain.request import ExplainRequest
from sms_service.number_seal import NumberSeal
from sms_service.retention import MESSAGE_DAYS

UNKNOWN_NUMBER = "a number that is not stored any more"

log = structlog.get_logger()


class HistorySubject(Protocol):
    """The number and the verification that an id belongs to."""

    @property
    def phone_ref(self) -> int: ...
    @property
    def verification_id(self) -> UUID: ...


class HistoryRepository(Protocol):
    """Where the rows of a number are read."""

    async def history(self, phone_ref: int, days: int) -> History: ...
    async def sampled_refusals(self) -> SampledRefusals: ...
    async def subject(self, message_or_verification_id: UUID) -> HistorySubject | None: ...
    async def sealed_number(self, phone_ref: int) -> bytes | None: ...


class TicketRepository(Protocol):
    """Where spent tickets are found. Raises ``ServiceError`` if auth-service does not answer."""

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets: ...


class Explainer:
    """Makes reports. ``days`` is how far back they reach, ``MESSAGE_DAYS`` at most."""

    def __init__(
        self, repository: HistoryRepository, tickets: TicketRepository, phones: PhoneKeys, seal: NumberSeal
    ) -> None:
        self._repository = repository
        self._tickets = tickets
        self._phones, self._seal = phones, seal

    async def respond(self, request: ExplainRequest) -> Report:
        """Make the report that an operator requests, and log that they did."""
        report = await self.explain(request.subject, request.days)
        by_number = request.phone is not None
        masked = mask(E164(report.number)) if by_number else report.number
        requested_by = "number" if by_number else "id"
        log.warning("report.requested", who="operator", by=requested_by, phone_ref=report.phone_ref, masked=masked)
        return report

    async def explain(self, subject: E164 | UUID, days: int = MESSAGE_DAYS) -> Report:
        """The report of a number, or of the verification or message with an id; for an id the number is masked.

        Raises ``ServiceError(NOT_FOUND)`` for an unknown id.
        """
        if isinstance(subject, UUID):
            return await self._of_id(subject, days)
        return await self._report(self._phones.ref(subject), subject, days)

    async def _of_id(self, message_or_verification_id: UUID, days: int) -> Report:
        found = await self._repository.subject(message_or_verification_id)
        if found is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        masked = await self._masked(found.phone_ref)
        return await self._report(found.phone_ref, masked, days, found.verification_id)

    async def _report(self, phone_ref: int, number: str, days: int, verification_id: UUID | None = None) -> Report:
        days = min(days, MESSAGE_DAYS)
        history = await self._repository.history(phone_ref, days)
        selected = select(history, verification_id)
        spent = await self._spent(selected.timelines, history.now)
        if not selected.timelines:
            selected = replace(selected, sampled=await self._repository.sampled_refusals())
        return build_report(number, ref_hex(phone_ref), days, selected, spent)

    async def _spent(self, timelines: Sequence[TimelineRows], now: datetime) -> SpentTickets | None:
        """The spent tickets of verified timelines; None if auth-service does not answer."""
        verified = [rows.verification_id for rows in timelines if rows.verification_id and rows.verified_at]
        if not verified:
            return SpentTickets(tickets=[], known_since=now)
        try:
            return await self._tickets.spent(verified)
        except ServiceError:
            return None

    async def _masked(self, phone_ref: int) -> str:
        sealed = await self._repository.sealed_number(phone_ref)
        try:
            return mask(self._seal.open(sealed)) if sealed else UNKNOWN_NUMBER
        except InvalidTag:
            return UNKNOWN_NUMBER
