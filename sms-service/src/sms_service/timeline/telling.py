"""Rows to a story: which belong together, in which order, and which of them answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from shared.contracts.auth import SpentTickets
from shared.contracts.sms import Purpose
from sms_service.happenings import CALLER, REFUSALS_A_DAY, What
from sms_service.spending import LIMITER
from sms_service.timeline.entries import entries_of
from sms_service.timeline.rows import Course, HappeningRow, Past
from sms_service.timeline.story import Story, Timeline, Verdict
from sms_service.timeline.verdicts import judge, nothing_asked

AUTH_SILENT = "session: unknown: auth-service did not answer"
AUTH_FORGOT = "session: no longer known: auth-service forgets a spent ticket after a day"
NOT_SPENT = "session: none: the ticket has not been spent"
SAMPLED = {
    CALLER: "of refusals by a limit on callers one a minute is kept for each network: there may have been more",
    LIMITER: "of refusals by spending one a minute is kept for each number, of a flood few: there may have been more",
}
FULL = f"of refusals {REFUSALS_A_DAY} in 24 hours are kept for one number: there may have been more"


def tell(about: str, phone_ref: str, days: int, past: Past, spent: SpentTickets | None) -> Story:
    """The story of a number. ``spent`` is what auth-service knows of its tickets; None when it did not answer."""
    courses = courses_of(past, spent)
    timelines = [_timeline(course, past) for course in courses]
    return Story(
        about=about,
        phone_ref=phone_ref,
        days=days,
        now=past.now,
        verdict=_answer(courses, timelines) or nothing_asked(days),
        timelines=timelines,
    )


def only(story: Story, verification_id: UUID) -> Story:
    """The story of one verification alone."""
    kept = [timeline for timeline in story.timelines if timeline.verification_id == verification_id]
    verdict = kept[0].verdict if kept else nothing_asked(story.days)
    return story.model_copy(update={"timelines": kept, "verdict": verdict})


def courses_of(past: Past, spent: SpentTickets | None = None) -> list[Course]:
    """One course for each verification, with the refusals while it lived; the other refusals by themselves."""
    verified = past.verified()
    ids = dict.fromkeys(message.verification_id for message in past.messages)
    courses = {each: _of_verification(each, past, verified, spent) for each in ids}
    alone: list[HappeningRow] = []
    for row in past.happenings:
        if row.what is What.REFUSED:
            home = next((each for each in reversed(courses) if _lived(courses[each], row.purpose, row.at)), None)
            if home is None:
                alone.append(row)
            else:
                courses[home] = replace(courses[home], refusals=[*courses[home].refusals, row])
    return _in_order([*courses.values(), *(Course(None, row.purpose, refusals=[row]) for row in alone)])


def _of_verification(
    verification_id: UUID, past: Past, verified: Mapping[UUID, datetime], spent: SpentTickets | None
) -> Course:
    messages = [message for message in past.messages if message.verification_id == verification_id]
    ids = {message.message_id for message in messages}
    return Course(
        verification_id,
        messages[0].purpose,
        messages,
        [attempt for attempt in past.attempts if attempt.message_id in ids],
        [],
        [row for row in past.happenings if row.verification_id == verification_id],
        verified.get(verification_id),
        spent
        and spent.model_copy(update={"tickets": [t for t in spent.tickets if t.verification_id == verification_id]}),
    )


def _lived(course: Course, purpose: Purpose, at: datetime) -> bool:
    """Whether a code for this purpose was alive then."""
    return course.purpose is purpose and course.messages[0].created_at <= at < course.messages[-1].expires_at


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


def _timeline(course: Course, past: Past) -> Timeline:
    return Timeline(
        verification_id=course.verification_id,
        purpose=course.purpose,
        verdict=judge(course, past.now),
        entries=entries_of(course, [message.created_at for message in past.messages]),
        notes=_notes(course),
    )


def _notes(course: Course) -> list[str]:
    notes = []
    if course.verified_at is not None:
        if course.spent is None:
            notes.append(AUTH_SILENT)
        elif not course.spent.tickets:
            notes.append(AUTH_FORGOT if course.verified_at < course.spent.known_since else NOT_SPENT)
    limiters = {row.detail for row in course.refusals}
    notes += [said for limiter, said in SAMPLED.items() if limiter in limiters]
    if len(course.refusals) >= REFUSALS_A_DAY:
        notes.append(FULL)
    return notes


def _answer(courses: Sequence[Course], timelines: Sequence[Timeline]) -> Verdict | None:
    """The verdict on what was asked for last."""
    if not courses:
        return None
    _, timeline = max(zip(courses, timelines, strict=True), key=lambda pair: pair[0].asked_last)
    return timeline.verdict
