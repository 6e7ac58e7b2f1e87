"""Builds the report of a number from its rows: groups them into timelines, orders them, and finds the diagnosis."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from shared.internal_api.auth import SpentTickets
from sms_service.explain.diagnosis import diagnose, nothing_requested
from sms_service.explain.history import EventRow, History, SampledRefusals, TimelineRows
from sms_service.explain.report import Report, Timeline
from sms_service.explain.steps import limiter_of, steps_of
from sms_service.spending.refusals import SPENDING_LIMITER
from sms_service.verification.audit_events import CALLER, REFUSALS_PER_DAY, EventKind

AUTH_UNAVAILABLE = "Session unknown: auth-service did not answer."
TICKET_FORGOTTEN = "Session unknown: auth-service forgets a used ticket after a day."
TICKET_UNUSED = "No session: the app has not used the ticket."
SAMPLED = {
    CALLER: "Only one refusal a minute by the caller limit is kept for each network: there may have been more.",
    SPENDING_LIMITER: "Only one refusal a minute by the spending limit is kept for each number, and fewer during an "
    "attack: there may have been more.",
}
MAX_TIMELINES = 100
"""The newest timelines are in the report. A test number may have a hundred of them a day."""
LEFT_OUT = "The newest {shown} of {all} timelines are shown. To see an older one, ask by the id of its verification."
FULL_DAY = f"Only {REFUSALS_PER_DAY} refusals in 24 hours are kept for one number: there may have been more."
NONE_SAMPLED = SampledRefusals()

R = TypeVar("R")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class SelectedRows:
    """The rows of the timelines that go into a report, of ``total`` timelines.

    Only without any timeline ``sampled`` is needed.
    """

    history: History
    timelines: Sequence[TimelineRows]
    total: int
    sampled: SampledRefusals = NONE_SAMPLED


def select(history: History, verification_id: UUID | None = None) -> SelectedRows:
    """The newest timelines of a number, or that of one verification, however old it is."""
    timelines = group_rows(history)
    if verification_id is None:
        return SelectedRows(history, timelines[-MAX_TIMELINES:], len(timelines))
    of_one = [rows for rows in timelines if rows.verification_id == verification_id]
    return SelectedRows(history, of_one, len(of_one))


def build_report(number: str, phone_ref: str, days: int, selected: SelectedRows, spent: SpentTickets | None) -> Report:
    """The report of a number. ``spent`` has its spent tickets; None if auth-service did not answer."""
    all_rows = [replace(rows, spent=_tickets_of(rows, spent)) for rows in selected.timelines]
    sent_at = [message.created_at for message in selected.history.messages]
    now = selected.history.now
    timelines = [_timeline(rows, sent_at, now) for rows in all_rows]
    shown = len(timelines)
    return Report(
        number=number,
        phone_ref=phone_ref,
        days=days,
        now=now,
        diagnosis=_last_requested(all_rows, timelines).diagnosis
        if timelines
        else nothing_requested(days, selected.sampled),
        notes=[LEFT_OUT.format(shown=shown, all=selected.total)] if selected.total > shown else [],
        timelines=timelines,
    )


def _tickets_of(rows: TimelineRows, spent: SpentTickets | None) -> SpentTickets | None:
    if spent is None:
        return None
    tickets = [ticket for ticket in spent.tickets if ticket.verification_id == rows.verification_id]
    return spent.model_copy(update={"tickets": tickets})


def group_rows(history: History) -> list[TimelineRows]:
    """One group for each verification, with the refusals during its life; other refusals are groups of their own."""
    timelines = _by_verification(history)
    by_purpose = _grouped(timelines, lambda rows: rows.purpose)
    refusals: defaultdict[UUID | None, list[EventRow]] = defaultdict(list)
    without: list[EventRow] = []
    for row in history.verification_events:
        if row.kind is EventKind.REFUSED:
            live = _live_at(by_purpose[row.purpose], row.at)
            (refusals[live.verification_id] if live else without).append(row)
    complete = [replace(rows, refusals=refusals[rows.verification_id]) for rows in timelines]
    return _in_order([*complete, *(TimelineRows(None, row.purpose, refusals=[row]) for row in without)])


def _by_verification(history: History) -> list[TimelineRows]:
    """In the order of their first requests."""
    verified_at = history.verified_at()
    attempts = _grouped(history.attempts, lambda row: row.message_id)
    checks = _grouped(history.verification_events, lambda row: row.verification_id)
    return [
        TimelineRows(
            verification_id,
            messages[0].purpose,
            messages,
            [attempt for message in messages for attempt in attempts[message.message_id]],
            [],
            checks[verification_id],
            verified_at.get(verification_id),
        )
        for verification_id, messages in _grouped(history.messages, lambda row: row.verification_id).items()
    ]


def _grouped(rows: Iterable[R], key: Callable[[R], K]) -> defaultdict[K, list[R]]:
    groups: defaultdict[K, list[R]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _live_at(timelines: Sequence[TimelineRows], at: datetime) -> TimelineRows | None:
    """The timeline of a purpose whose code was valid at a moment: only the newest one can be."""
    begun = bisect_right(timelines, at, key=lambda rows: rows.messages[0].created_at)
    newest = timelines[begun - 1] if begun else None
    return newest if newest and at < newest.messages[-1].expires_at else None


def _in_order(timelines: Sequence[TimelineRows]) -> list[TimelineRows]:
    """Oldest first. Refusals without a verification join the ones right before them, if the purpose is the same."""
    ordered: list[TimelineRows] = []
    for rows in sorted(timelines, key=lambda each: each.first_requested_at):
        last = ordered[-1] if ordered else None
        if last and last.verification_id is None and rows.verification_id is None and last.purpose is rows.purpose:
            ordered[-1] = replace(last, refusals=[*last.refusals, *rows.refusals])
        else:
            ordered.append(rows)
    return ordered


def _timeline(rows: TimelineRows, sent_at: Sequence[datetime], now: datetime) -> Timeline:
    return Timeline(
        verification_id=rows.verification_id,
        purpose=rows.purpose,
        diagnosis=diagnose(rows, now),
        steps=steps_of(rows, sent_at),
        notes=_notes(rows),
    )


def _notes(rows: TimelineRows) -> list[str]:
    notes = []
    if rows.verified_at is not None:
        if rows.spent is None:
            notes.append(AUTH_UNAVAILABLE)
        elif not rows.spent.tickets:
            notes.append(TICKET_FORGOTTEN if rows.verified_at < rows.spent.known_since else TICKET_UNUSED)
    limiters = {limiter_of(row) for row in rows.refusals}
    notes += [note for limiter, note in SAMPLED.items() if limiter in limiters]
    if len(rows.refusals) >= REFUSALS_PER_DAY:
        notes.append(FULL_DAY)
    return notes


def _last_requested(all_rows: Sequence[TimelineRows], timelines: Sequence[Timeline]) -> Timeline:
    """The timeline of the last request."""
    _, timeline = max(zip(all_rows, timelines, strict=True), key=lambda pair: pair[0].last_requested_at)
    return timeline
