"""Rows to a story: which belong together, in which order, and which of them answers."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from shared.internal_api.auth import SpentTickets
from sms_service.explain.diagnosis import judge, nothing_asked
from sms_service.explain.history import Course, EventRow, History
from sms_service.explain.report import Diagnosis, Report, Timeline
from sms_service.explain.steps import limiter_of, steps_of
from sms_service.spending.refusals import SPENDING_LIMITER
from sms_service.verification.audit_events import CALLER, REFUSALS_PER_DAY, EventKind

AUTH_SILENT = "session: unknown: auth-service did not answer"
AUTH_FORGOT = "session: no longer known: auth-service forgets a spent ticket after a day"
NOT_SPENT = "session: none: the ticket has not been spent"
SAMPLED = {
    CALLER: "of refusals by a limit on callers one a minute is kept for each network: there may have been more",
    SPENDING_LIMITER: "of refusals by spending one a minute is kept for each number, of a flood few: there may have been more",
}
MAX_TOLD = 100
"""How many timelines a story has: the newest. A number for tests may have a hundred of them a day."""
LEFT_OUT = "of {all} timelines the newest {told} are told: of an older one ask by the id of its verification"
FULL = f"of refusals {REFUSALS_PER_DAY} in 24 hours are kept for one number: there may have been more"

R = TypeVar("R")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Chosen:
    """The courses that are told, and of how many."""

    past: History
    courses: Sequence[Course]
    of: int


def choose(past: History, verification_id: UUID | None = None) -> Chosen:
    """The newest courses of a number; or that of one verification alone, however old."""
    courses = courses_of(past)
    if verification_id is None:
        return Chosen(past, courses[-MAX_TOLD:], len(courses))
    only = [course for course in courses if course.verification_id == verification_id]
    return Chosen(past, only, len(only))


def tell(about: str, phone_ref: str, days: int, chosen: Chosen, spent: SpentTickets | None) -> Report:
    """The story of a number. ``spent`` is what auth-service knows of its tickets; None when it did not answer."""
    courses = [replace(course, spent=_of_course(spent, course)) for course in chosen.courses]
    sent = [message.created_at for message in chosen.past.messages]
    timelines = [_timeline(course, sent, chosen.past.now) for course in courses]
    return Report(
        about=about,
        phone_ref=phone_ref,
        days=days,
        now=chosen.past.now,
        verdict=_answer(courses, timelines) or nothing_asked(days),
        notes=[LEFT_OUT.format(told=len(courses), all=chosen.of)] if chosen.of > len(courses) else [],
        timelines=timelines,
    )


def _of_course(spent: SpentTickets | None, course: Course) -> SpentTickets | None:
    if spent is None:
        return None
    tickets = [ticket for ticket in spent.tickets if ticket.verification_id == course.verification_id]
    return spent.model_copy(update={"tickets": tickets})


def courses_of(past: History) -> list[Course]:
    """One course for each verification, with the refusals while it lived; the other refusals by themselves."""
    courses = _of_verifications(past)
    by_purpose = _grouped(courses, lambda course: course.purpose)
    housed: defaultdict[UUID | None, list[EventRow]] = defaultdict(list)
    alone: list[EventRow] = []
    for row in past.verification_events:
        if row.kind is EventKind.REFUSED:
            home = _home(by_purpose[row.purpose], row.at)
            (housed[home.verification_id] if home else alone).append(row)
    whole = [replace(course, refusals=housed[course.verification_id]) for course in courses]
    return _in_order([*whole, *(Course(None, row.purpose, refusals=[row]) for row in alone)])


def _of_verifications(past: History) -> list[Course]:
    """In the order in which they were asked for."""
    verified = past.verified()
    attempts = _grouped(past.attempts, lambda row: row.message_id)
    checks = _grouped(past.verification_events, lambda row: row.verification_id)
    return [
        Course(
            verification_id,
            messages[0].purpose,
            messages,
            [attempt for message in messages for attempt in attempts[message.message_id]],
            [],
            checks[verification_id],
            verified.get(verification_id),
        )
        for verification_id, messages in _grouped(past.messages, lambda row: row.verification_id).items()
    ]


def _grouped(rows: Iterable[R], key: Callable[[R], K]) -> defaultdict[K, list[R]]:
    groups: defaultdict[K, list[R]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _home(courses: Sequence[Course], at: datetime) -> Course | None:
    """Of the courses for a purpose the one whose code was alive then: at most one is, the newest."""
    begun = bisect_right(courses, at, key=lambda course: course.messages[0].created_at)
    last = courses[begun - 1] if begun else None
    return last if last and at < last.messages[-1].expires_at else None


def _in_order(courses: Sequence[Course]) -> list[Course]:
    """Oldest first; refusals that follow one another without anything between become one course."""
    ordered: list[Course] = []
    for course in sorted(courses, key=lambda each: each.began):
        last = ordered[-1] if ordered else None
        if last and last.verification_id is None and course.verification_id is None and last.purpose is course.purpose:
            ordered[-1] = replace(last, refusals=[*last.refusals, *course.refusals])
        else:
            ordered.append(course)
    return ordered


def _timeline(course: Course, sent: Sequence[datetime], now: datetime) -> Timeline:
    return Timeline(
        verification_id=course.verification_id,
        purpose=course.purpose,
        verdict=judge(course, now),
        entries=steps_of(course, sent),
        notes=_notes(course),
    )


def _notes(course: Course) -> list[str]:
    notes = []
    if course.verified_at is not None:
        if course.spent is None:
            notes.append(AUTH_SILENT)
        elif not course.spent.tickets:
            notes.append(AUTH_FORGOT if course.verified_at < course.spent.known_since else NOT_SPENT)
    limiters = {limiter_of(row) for row in course.refusals}
    notes += [said for limiter, said in SAMPLED.items() if limiter in limiters]
    if len(course.refusals) >= REFUSALS_PER_DAY:
        notes.append(FULL)
    return notes


def _answer(courses: Sequence[Course], timelines: Sequence[Timeline]) -> Diagnosis | None:
    """The verdict on what was asked for last."""
    if not courses:
        return None
    _, timeline = max(zip(courses, timelines, strict=True), key=lambda pair: pair[0].asked_last)
    return timeline.verdict
