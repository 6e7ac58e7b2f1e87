"""The codes of one number in PostgreSQL: the tables ``messages``, ``attempts`` and ``verification_events``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shared.internal_api.personal_data.codes import (
    CodeEvent,
    CodeEventPage,
    CodeMessage,
    ExportCodes,
    ExportedCodes,
    ListCodeEvents,
)
from shared.internal_api.personal_data.pages import PAGE_ROWS, Cursor
from shared.phone import E164, PhoneKeys
from shared.postgres import Pool, connection

# As in explain, whose indexes these are: attempts lead to the messages that a sender was called for.
MESSAGES = """
    select created_at as requested_at, purpose, dialect, client, language, state, sender, finished_at
    from messages where created_at >= $2 and message_id in (
        select message_id from attempts where phone_ref = $1
        union select message_id from messages where phone_ref = $1 and claimed_at is null and finished_at is not null
        union select message_id from messages where phone_ref = $1 and state in ('queued', 'sending')
    )
    order by created_at, message_id
"""
EVENTS = """
    select id, at, kind, purpose, dialect, network, detail from verification_events
    where phone_ref = $1 and at between $2 and $3 and ($4::timestamptz is null or (at, id) > ($4, $5::uuid))
    order by at, id limit $6
"""


class PersonalDataStore:
    """Reads what is stored. Raises ``ServiceError(UNAVAILABLE)``."""

    def __init__(self, pool: Pool, phones: PhoneKeys) -> None:
        self._pool = pool
        self._phones = phones

    async def codes(self, request: ExportCodes) -> ExportedCodes:
        """The messages of a number since a time: few, as a number gets ten codes a day and they stay a month."""
        async with connection(self._pool) as conn:
            rows: Sequence[Any] = await conn.fetch(MESSAGES, self._ref(request.phone), request.since)
        return ExportedCodes(messages=[CodeMessage(**dict(row)) for row in rows])

    async def events(self, request: ListCodeEvents) -> CodeEventPage:
        """A page of what happened to the codes of a number."""
        after: tuple[datetime | None, Any] = (request.after.at, request.after.id) if request.after else (None, None)
        phone_ref = self._ref(request.phone)
        async with connection(self._pool) as conn:
            rows: Sequence[Any] = await conn.fetch(EVENTS, phone_ref, request.since, request.until, *after, PAGE_ROWS)
        last = Cursor(at=rows[-1]["at"], id=rows[-1]["id"]) if len(rows) == PAGE_ROWS else None
        return CodeEventPage(rows=[_event(row) for row in rows], next=last)

    def _ref(self, phone: str) -> int:
        return self._phones.ref(E164(phone))


def _event(row: Any) -> CodeEvent:
    return CodeEvent(**{name: row[name] for name in CodeEvent.model_fields})
