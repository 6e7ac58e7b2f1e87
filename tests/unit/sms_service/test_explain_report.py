"""A story is made of rows alone: which belong together, in which order, and what answers."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any
from uuid import UUID

import pytest
from support.sms import PHONES

from shared.internal_api.auth import SpentTicket, SpentTickets
from shared.internal_api.sms import Purpose
from shared.phone import E164
from sms_service.delivery.ledger import MessageState
from sms_service.explain.advice import ADVICE
from sms_service.explain.build_report import FULL, LEFT_OUT, MAX_TOLD, SAMPLED, choose, tell
from sms_service.explain.explain import Explainer
from sms_service.explain.history import AttemptRow, EventRow, History, MessageRow, VerificationRow
from sms_service.explain.history_store import Subject
from sms_service.explain.render_text import render_text
from sms_service.explain.report import DiagnosisKind, Report
from sms_service.explain.steps import seconds
from sms_service.spending.refusals import SPENDING_LIMITER
from sms_service.verification.audit_events import REFUSALS_PER_DAY, EventKind, UnusableReason

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NOTHING_SPENT = SpentTickets(tickets=[], known_since=NOON - timedelta(days=1))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_message(number: int = 1, verification: int = 1, asked: float = 0, **more: Any) -> MessageRow:
    usual = {"state": MessageState.SENT, "failure": "", "sender": "mainland", "finished_at": at(asked + 1)}
    return MessageRow(
        message_id=UUID(int=number),
        verification_id=UUID(int=100 + verification),
        purpose=Purpose.SIGN_UP,
        dialect="native",
        language="zh",
        created_at=at(asked),
        expires_at=at(asked + 300),
        **(usual | more),
    )


def an_attempt(number: int = 1, sender: str = "mainland", begun: float = 0.5, **more: Any) -> AttemptRow:
    usual = {"outcome": "accepted", "detail": "", "provider_id": "", "receipt": "", "receipt_detail": ""}
    times = {"started_at": at(begun), "finished_at": at(begun + 0.5), "receipt_at": None}
    return AttemptRow(message_id=UUID(int=number), sender=sender, **(usual | times | more))


def a_refusal(when: float, limiter: str = "cooldown", wait: int | None = 60, **more: Any) -> EventRow:
    usual = {"verification_id": None, "purpose": Purpose.SIGN_UP, "dialect": "native", "tries_left": None}
    return EventRow(at=at(when), kind=EventKind.REFUSED, detail=limiter, retry_after=wait, **(usual | more))


def a_check(kind: EventKind, when: float, left: int | None = None, detail: str = "", verification: int = 1) -> EventRow:
    return EventRow(UUID(int=100 + verification), at(when), kind, Purpose.SIGN_UP, "native", detail, None, left)


def story_of(*, now: float = 600, spent: SpentTickets | None = NOTHING_SPENT, **rows: Any) -> Report:
    return tell("+8613800138000", "00ff", 30, choose(History(at(now), **rows)), spent)


def test_every_verdict_has_advice() -> None:
    assert set(ADVICE) == set(DiagnosisKind)


@pytest.mark.parametrize(
    ("outcome", "detail", "kind"),
    [
        ("invalid_number", "isv.MOBILE_NUMBER_ILLEGAL", DiagnosisKind.INVALID_NUMBER),
        ("transient", "timeout", DiagnosisKind.SILENT),
        ("transient", "502", DiagnosisKind.FAILED),
        ("permanent", "", DiagnosisKind.FAILED),
        ("refused", "blocked_text", DiagnosisKind.FAILED),
        ("rate_limited", "", DiagnosisKind.SENDERS_LIMITED),
        ("misconfigured", "403", DiagnosisKind.MISCONFIGURED),
        ("abandoned", "", DiagnosisKind.ABANDONED),
    ],
)
def test_what_the_last_sender_answered_is_the_verdict_in_its_own_words(
    outcome: str, detail: str, kind: DiagnosisKind
) -> None:
    story = story_of(
        messages=[a_message(state=MessageState.FAILED, failure=outcome)],
        attempts=[an_attempt(outcome=outcome, detail=detail)],
    )
    assert story.verdict.kind is kind
    assert "mainland" in story.verdict.said
    assert detail in story.verdict.said or kind is DiagnosisKind.SILENT
    assert story.verdict.advice == ADVICE[kind]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("no_route", DiagnosisKind.NO_ROUTE),
        ("circuit_open", DiagnosisKind.CIRCUIT_OPEN),
        ("exhausted", DiagnosisKind.FAILED),
        ("rate_limited", DiagnosisKind.SENDERS_LIMITED),
        ("misconfigured", DiagnosisKind.KEY_MISSING),
        ("budget_exhausted", DiagnosisKind.BUDGET),
        ("cheaper_unavailable", DiagnosisKind.BUDGET),
        ("prefix_blocked", DiagnosisKind.PREFIX_BLOCKED),
        ("something_new", DiagnosisKind.FAILED),
    ],
)
def test_a_message_that_nobody_was_asked_to_carry_has_a_verdict(failure: str, kind: DiagnosisKind) -> None:
    story = story_of(messages=[a_message(state=MessageState.FAILED, failure=failure, sender="")])
    assert story.verdict.kind is kind
    assert story.timelines[0].entries[-1].facts == {"failure": failure}


def test_a_receipt_has_the_last_word() -> None:
    receipts = [
        ("delivered", DiagnosisKind.DELIVERED),
        ("failed", DiagnosisKind.UNDELIVERED),
        ("", DiagnosisKind.ACCEPTED),
    ]
    for receipt, kind in receipts:
        attempt = an_attempt(receipt=receipt, receipt_detail="DELIVRD", receipt_at=at(3) if receipt else None)
        assert story_of(messages=[a_message()], attempts=[attempt]).verdict.kind is kind


def test_a_message_that_was_stopped_for_money_after_a_first_attempt_is_a_matter_of_budget() -> None:
    story = story_of(
        messages=[a_message(state=MessageState.FAILED, failure="budget_exhausted")],
        attempts=[an_attempt(outcome="transient")],
    )
    assert story.verdict.kind is DiagnosisKind.BUDGET


def test_the_verdict_is_about_what_was_asked_for_last() -> None:
    delivered = an_attempt(receipt="delivered", receipt_at=at(2))
    rows = {"messages": [a_message()], "attempts": [delivered]}
    assert story_of(**rows).verdict.kind is DiagnosisKind.DELIVERED

    story = story_of(now=30, **rows, verification_events=[a_refusal(20, wait=40)])
    assert story.verdict.kind is DiagnosisKind.COOLDOWN
    assert story.verdict.said == (
        "Refused by cooldown until 2026-05-04 12:01:00 UTC (30 s from now): a code went to this number moments before. "
        "Before that: Arrived: mainland delivered it 2.000 s after asking."
    )
    later = story_of(**rows, verification_events=[a_refusal(400, "caller", 60)])
    assert (later.verdict.kind, len(later.timelines)) == (DiagnosisKind.CALLER_LIMIT, 2)
    assert "(over by now)" in later.verdict.said


@pytest.mark.parametrize(
    ("why", "kind", "remedy"),
    [
        ("budget_exhausted", DiagnosisKind.BUDGET, "raise one"),
        ("prefix_blocked", DiagnosisKind.PREFIX_BLOCKED, "spending unblock"),
    ],
)
def test_what_spending_refused_for_is_told_with_the_command_that_helps(
    why: str, kind: DiagnosisKind, remedy: str
) -> None:
    story = story_of(verification_events=[a_refusal(0, why, 900)])
    assert story.verdict.kind is kind
    assert story.verdict.said.startswith("Refused by spending until ")
    assert remedy in story.verdict.advice
    assert story.timelines[0].notes == [SAMPLED[SPENDING_LIMITER]]


def test_an_unknown_limiter_is_named() -> None:
    story = story_of(verification_events=[a_refusal(0, "brand_new", None)])
    assert story.verdict.kind is DiagnosisKind.REFUSED
    assert story.verdict.said.startswith("Refused by brand new: ")


def test_what_came_back_says_more_than_what_was_sent_unless_nothing_can_have_arrived() -> None:
    wrong = [a_check(EventKind.WRONG, 10, 4), a_check(EventKind.WRONG, 11, 3)]
    sent = {"messages": [a_message()], "attempts": [an_attempt()]}
    assert story_of(**sent, verification_events=wrong).verdict.kind is DiagnosisKind.WRONG_CODE
    dead = [a_check(EventKind.DEAD, 400, detail=UnusableReason.EXPIRED)]
    assert story_of(**sent, verification_events=dead).verdict.kind is DiagnosisKind.CODE_DEAD

    story = story_of(messages=[a_message(state=MessageState.EXPIRED, sender="")], verification_events=wrong)
    assert story.verdict.kind is DiagnosisKind.EXPIRED
    assert story.verdict.said.startswith("A wrong code came back 2 times, 3 tries are left.")


def test_a_wrong_code_before_the_newest_message_is_history() -> None:
    messages = [a_message(), a_message(2, asked=90)]
    attempts = [an_attempt(), an_attempt(2, begun=90.5)]
    story = story_of(messages=messages, attempts=attempts, verification_events=[a_check(EventKind.WRONG, 10, 4)])
    assert story.verdict.kind is DiagnosisKind.ACCEPTED


def test_the_right_code_is_the_end_of_the_story_whatever_else_came_back() -> None:
    checks = [
        a_check(EventKind.WRONG, 5, 4),
        a_check(EventKind.RIGHT, 9),
        a_check(EventKind.DEAD, 700, detail=UnusableReason.SPENT),
    ]
    rows = {"messages": [a_message()], "attempts": [an_attempt()], "verification_events": checks}
    about = {"purpose": Purpose.SIGN_UP, "user_id": 7, "spent_at": at(20), "repeats": 0, "session_lives": False}
    ticket = SpentTicket(verification_id=UUID(int=101), **about)
    other = ticket.model_copy(update={"verification_id": UUID(int=555)})
    story = story_of(**rows, spent=SpentTickets(tickets=[other, ticket], known_since=at(-9)))
    assert story.verdict.said.endswith("9.000 s after it was asked for, and its ticket was spent.")
    assert [entry.facts["user_id"] for entry in story.timelines[0].entries if entry.by == "auth-service"] == [7]
    assert "no session of it lives any more" in render_text(story)


def test_the_current_verification_tells_of_a_right_code_that_no_happening_tells_of() -> None:
    row = VerificationRow(UUID(int=101), at(9))
    story = story_of(messages=[a_message()], attempts=[an_attempt()], verifications=[row])
    assert story.verdict.kind is DiagnosisKind.VERIFIED


def test_each_verification_has_a_timeline_in_order_and_counts_the_messages_of_the_day() -> None:
    day = 86_400
    messages = [a_message(1, 1, 0), a_message(2, 2, 400), a_message(3, 2, 500), a_message(4, 3, day + 450)]
    attempts = [an_attempt(each, begun=message.created_at.timestamp() - NOON.timestamp() + 1)
                for each, message in enumerate(messages, start=1)]  # fmt: skip
    story = story_of(now=2 * day, messages=messages, attempts=attempts)

    assert [timeline.verification_id for timeline in story.timelines] == [UUID(int=100 + n) for n in (1, 2, 3)]
    counts = [[e.said for e in timeline.entries if e.by == "limits"] for timeline in story.timelines]
    said = "allowed it: message {} to this number in 24 hours"
    assert counts == [[said.format(1)], [said.format(2), said.format(3)], [said.format(2)]]
    for timeline in story.timelines:
        assert [entry.at for entry in timeline.entries] == sorted(entry.at for entry in timeline.entries)


def test_refusals_that_follow_one_another_are_one_timeline_and_other_purposes_are_not_mixed_in() -> None:
    refusals = [a_refusal(each, "number_taken", None) for each in (0, 1, 2)]
    other = replace(a_refusal(3), purpose=Purpose.SIGN_IN)
    story = story_of(verification_events=[*refusals, other])
    assert [(timeline.purpose, len(timeline.entries)) for timeline in story.timelines] == [
        (Purpose.SIGN_UP, 6),
        (Purpose.SIGN_IN, 2),
    ]
    assert story.timelines[0].verdict.kind is DiagnosisKind.ACCOUNT


def test_a_day_full_of_refusals_says_that_there_may_have_been_more() -> None:
    full = [a_refusal(each) for each in range(REFUSALS_PER_DAY)]
    assert story_of(verification_events=full).timelines[0].notes == [FULL]
    assert story_of(verification_events=full[1:]).timelines[0].notes == []


def many(verifications: int) -> dict[str, Any]:
    """What a number for tests leaves: a verification every ten minutes, each refused once more and then verified."""
    each = range(1, verifications + 1)
    return {
        "messages": [a_message(n, n, asked=600 * n) for n in each],
        "attempts": [an_attempt(n, begun=600 * n + 0.5) for n in each],
        "verification_events": [
            row for n in each for row in (a_refusal(600 * n + 5), a_check(EventKind.RIGHT, 600 * n + 9, verification=n))
        ],
    }


class Kept:
    """The past of a number, and auth-service, which is asked of some tickets."""

    def __init__(self, past: History) -> None:
        self._past = past
        self.asked: list[UUID] = []

    async def past(self, phone_ref: int, days: int) -> History:  # noqa: ARG002  whoever it is
        return self._past

    async def whose(self, identity: UUID) -> Subject:
        return Subject(7, identity)

    async def sealed(self, phone_ref: int) -> None:  # noqa: ARG002  as above
        return None

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets:
        self.asked = list(verification_ids)
        return NOTHING_SPENT

    async def explain(self, about: E164 | UUID) -> Report:
        return await Explainer(self, self, PHONES).explain(about)


async def test_of_many_verifications_the_newest_are_told_and_an_older_one_by_its_id() -> None:
    kept = Kept(History(at(10**6), **many(MAX_TOLD + 20)))
    story = await kept.explain(E164("+8613800138000"))

    newest = [UUID(int=100 + n) for n in range(21, MAX_TOLD + 21)]
    assert [timeline.verification_id for timeline in story.timelines] == newest
    assert kept.asked == newest
    assert story.notes == [LEFT_OUT.format(told=MAX_TOLD, all=MAX_TOLD + 20)]
    assert "- of 120 timelines the newest 100 are told" in render_text(story)
    assert {len(timeline.entries) for timeline in story.timelines} == {8}

    story = await kept.explain(UUID(int=105))
    assert [timeline.verification_id for timeline in story.timelines] == kept.asked == [UUID(int=105)]
    assert (story.verdict, story.notes) == (story.timelines[0].verdict, [])


async def test_the_work_of_explaining_grows_with_the_rows_and_not_with_their_square() -> None:
    async def steps(verifications: int) -> int:
        """How many instructions it takes."""
        kept, taken = Kept(History(at(10**6), **many(verifications))), 0

        def trace(frame: FrameType, event: str, arg: object) -> Any:  # noqa: ARG001  as it is called
            nonlocal taken
            frame.f_trace_opcodes = True
            taken += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await kept.explain(E164("+8613800138000"))
        finally:
            sys.settrace(before)
        return taken

    assert await steps(800) < 2.5 * await steps(400)


def test_a_terminal_shows_the_answer_first_and_columns_that_line_up() -> None:
    second = an_attempt(sender="a-second-one", begun=1, provider_id="SM1")
    messages = [a_message(), a_message(2, 2, 4000)]
    first = an_attempt(outcome="refused", finished_at=at(1))
    text = render_text(story_of(now=4100, messages=messages, attempts=[first, second, an_attempt(2, begun=4001)]))

    lines = text.splitlines()
    assert lines[0] == "+8613800138000  (reference 00ff; the last 30 days; times are UTC)"
    assert lines[2] == "=> mainland took the message 1 min 38 s ago, and no receipt has come."
    assert "1. sign_up: verification 00000000-0000-0000-0000-000000000065" in lines
    assert "   2026-05-04 12:00:00.500        +0.500 s  worker        claimed the message for mainland" in lines
    assert (
        "   2026-05-04 12:00:01.500        +0.500 s  a-second-one  took the message  (answer accepted, provider_id SM1)"
        in lines
    )


@pytest.mark.parametrize(
    ("span", "shown"),
    [(0, "0.000 s"), (9.9994, "9.999 s"), (42.4, "42 s"), (300, "5 min 0 s"), (7260, "2 h 1 min"), (200_000, "2 days")],
)
def test_a_span_is_shown_as_a_person_says_it(span: float, shown: str) -> None:
    assert seconds(timedelta(seconds=span)) == shown
