"""A report is built from rows alone: how they form timelines, in which order, and which diagnosis follows."""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import pytest
from support.sms import PHONES, SEAL

from shared.internal_api.auth import SpentTicket, SpentTickets
from shared.internal_api.sms import Purpose
from shared.phone import E164
from sms_service.delivery.ledger import MessageState
from sms_service.explain.advice import ADVICE, SAMPLED_ADVICE
from sms_service.explain.build_report import FULL_DAY, LEFT_OUT, MAX_TIMELINES, SAMPLED, build_report, select
from sms_service.explain.diagnosis import nothing_requested
from sms_service.explain.explain import Explainer
from sms_service.explain.history import (
    AttemptRow,
    EventRow,
    History,
    MessageRow,
    SampledRefusals,
    VerificationRow,
)
from sms_service.explain.history_store import Subject
from sms_service.explain.render_text import render_text
from sms_service.explain.report import DiagnosisKind, Report
from sms_service.explain.steps import format_duration
from sms_service.spending.refusals import SPENDING_LIMITER
from sms_service.verification.audit_events import REFUSALS_PER_DAY, EventKind, UnusableReason

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NOTHING_SPENT = SpentTickets(tickets=[], known_since=NOON - timedelta(days=1))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_message(number: int = 1, verification: int = 1, requested: float = 0, **more: Any) -> MessageRow:
    usual = {"state": MessageState.SENT, "failure": "", "sender": "mainland", "finished_at": at(requested + 1)}
    return MessageRow(
        message_id=UUID(int=number),
        verification_id=UUID(int=100 + verification),
        purpose=Purpose.SIGN_UP,
        dialect="native",
        language="zh",
        created_at=at(requested),
        expires_at=at(requested + 300),
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


def report_of(*, now: float = 600, spent: SpentTickets | None = NOTHING_SPENT, **rows: Any) -> Report:
    return build_report("+8613800138000", "00ff", 30, select(History(at(now), **rows)), spent)


def test_every_diagnosis_has_advice() -> None:
    assert set(ADVICE) == set(DiagnosisKind)


@pytest.mark.parametrize(
    ("outcome", "detail", "kind"),
    [
        ("invalid_number", "isv.MOBILE_NUMBER_ILLEGAL", DiagnosisKind.INVALID_NUMBER),
        ("transient", "timeout", DiagnosisKind.TIMEOUT),
        ("transient", "502", DiagnosisKind.FAILED),
        ("permanent", "", DiagnosisKind.FAILED),
        ("refused", "blocked_text", DiagnosisKind.FAILED),
        ("rate_limited", "", DiagnosisKind.SENDER_LIMIT),
        ("misconfigured", "403", DiagnosisKind.MISCONFIGURED),
        ("abandoned", "", DiagnosisKind.ABANDONED),
    ],
)
def test_the_answer_of_the_last_sender_is_the_diagnosis_with_its_own_detail(
    outcome: str, detail: str, kind: DiagnosisKind
) -> None:
    report = report_of(
        messages=[a_message(state=MessageState.FAILED, failure=outcome)],
        attempts=[an_attempt(outcome=outcome, detail=detail)],
    )
    assert report.diagnosis.kind is kind
    assert "mainland" in report.diagnosis.text
    assert detail in report.diagnosis.text or kind is DiagnosisKind.TIMEOUT
    assert report.diagnosis.advice == ADVICE[kind]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("no_route", DiagnosisKind.NO_ROUTE),
        ("circuit_open", DiagnosisKind.CIRCUIT_OPEN),
        ("exhausted", DiagnosisKind.FAILED),
        ("rate_limited", DiagnosisKind.SENDER_LIMIT),
        ("misconfigured", DiagnosisKind.KEY_MISSING),
        ("budget_exhausted", DiagnosisKind.BUDGET_EXHAUSTED),
        ("cheaper_unavailable", DiagnosisKind.BUDGET_EXHAUSTED),
        ("prefix_blocked", DiagnosisKind.PREFIX_BLOCKED),
        ("something_new", DiagnosisKind.FAILED),
    ],
)
def test_a_message_without_an_attempt_has_a_diagnosis(failure: str, kind: DiagnosisKind) -> None:
    report = report_of(messages=[a_message(state=MessageState.FAILED, failure=failure, sender="")])
    assert report.diagnosis.kind is kind
    assert report.timelines[0].steps[-1].details == {"failure": failure}


def test_a_receipt_decides_the_diagnosis() -> None:
    receipts = [
        ("delivered", DiagnosisKind.DELIVERED),
        ("failed", DiagnosisKind.UNDELIVERED),
        ("", DiagnosisKind.ACCEPTED),
    ]
    for receipt, kind in receipts:
        attempt = an_attempt(receipt=receipt, receipt_detail="DELIVRD", receipt_at=at(3) if receipt else None)
        assert report_of(messages=[a_message()], attempts=[attempt]).diagnosis.kind is kind


def test_a_message_that_the_budget_could_not_pay_after_a_first_attempt_has_that_diagnosis() -> None:
    report = report_of(
        messages=[a_message(state=MessageState.FAILED, failure="budget_exhausted")],
        attempts=[an_attempt(outcome="transient")],
    )
    assert report.diagnosis.kind is DiagnosisKind.BUDGET_EXHAUSTED


def test_the_diagnosis_is_that_of_the_last_request() -> None:
    delivered = an_attempt(receipt="delivered", receipt_at=at(2))
    rows = {"messages": [a_message()], "attempts": [delivered]}
    assert report_of(**rows).diagnosis.kind is DiagnosisKind.DELIVERED

    report = report_of(now=30, **rows, verification_events=[a_refusal(20, wait=40)])
    assert report.diagnosis.kind is DiagnosisKind.COOLDOWN
    assert report.diagnosis.text == (
        "The cooldown refused the request until 2026-05-04 12:01:00 UTC (30 s from now): "
        "the last code for this number was sent moments before. "
        "Before that: mainland delivered the message 2.000 s after the request."
    )
    later = report_of(**rows, verification_events=[a_refusal(400, "caller", 60)])
    assert (later.diagnosis.kind, len(later.timelines)) == (DiagnosisKind.CALLER_LIMIT, 2)
    assert "(which is over)" in later.diagnosis.text


@pytest.mark.parametrize(
    ("reason", "kind", "remedy"),
    [
        ("budget_exhausted", DiagnosisKind.BUDGET_EXHAUSTED, "Raise one"),
        ("prefix_blocked", DiagnosisKind.PREFIX_BLOCKED, "spending unblock"),
    ],
)
def test_a_refusal_by_spending_comes_with_the_command_that_helps(reason: str, kind: DiagnosisKind, remedy: str) -> None:
    report = report_of(verification_events=[a_refusal(0, reason, 900)])
    assert report.diagnosis.kind is kind
    assert report.diagnosis.text.startswith("The spending limit refused the request until ")
    assert remedy in report.diagnosis.advice
    assert report.timelines[0].notes == [SAMPLED[SPENDING_LIMITER]]


def test_an_unknown_limiter_is_named() -> None:
    report = report_of(verification_events=[a_refusal(0, "brand_new", None)])
    assert report.diagnosis.kind is DiagnosisKind.REFUSED
    assert report.diagnosis.text.startswith("The limiter brand_new refused the request: ")


def test_rejected_codes_decide_the_diagnosis_unless_the_message_cannot_have_arrived() -> None:
    wrong = [a_check(EventKind.INCORRECT, 10, 4), a_check(EventKind.INCORRECT, 11, 3)]
    sent = {"messages": [a_message()], "attempts": [an_attempt()]}
    assert report_of(**sent, verification_events=wrong).diagnosis.kind is DiagnosisKind.INCORRECT_CODE
    dead = [a_check(EventKind.UNUSABLE, 400, detail=UnusableReason.EXPIRED)]
    assert report_of(**sent, verification_events=dead).diagnosis.kind is DiagnosisKind.UNUSABLE_CODE

    report = report_of(messages=[a_message(state=MessageState.EXPIRED, sender="")], verification_events=wrong)
    assert report.diagnosis.kind is DiagnosisKind.EXPIRED
    assert report.diagnosis.text.startswith("The user entered an incorrect code twice; 3 tries are left.")


def test_an_incorrect_code_before_the_newest_message_does_not_count() -> None:
    messages = [a_message(), a_message(2, requested=90)]
    attempts = [an_attempt(), an_attempt(2, begun=90.5)]
    report = report_of(messages=messages, attempts=attempts, verification_events=[a_check(EventKind.INCORRECT, 10, 4)])
    assert report.diagnosis.kind is DiagnosisKind.ACCEPTED


def test_a_correct_code_is_the_diagnosis_despite_other_codes_before_and_after_it() -> None:
    checks = [
        a_check(EventKind.INCORRECT, 5, 4),
        a_check(EventKind.CORRECT, 9),
        a_check(EventKind.UNUSABLE, 700, detail=UnusableReason.SPENT),
    ]
    rows = {"messages": [a_message()], "attempts": [an_attempt()], "verification_events": checks}
    usual = {"purpose": Purpose.SIGN_UP, "user_id": 7, "spent_at": at(20), "repeats": 0, "session_lives": False}
    ticket = SpentTicket(verification_id=UUID(int=101), **usual)
    other = ticket.model_copy(update={"verification_id": UUID(int=555)})
    report = report_of(**rows, spent=SpentTickets(tickets=[other, ticket], known_since=at(-9)))
    assert report.diagnosis.text.endswith("9.000 s after requesting it, and the app used its ticket.")
    assert [step.details["user_id"] for step in report.timelines[0].steps if step.actor == "auth-service"] == [7]
    assert "none of its sessions is open any more" in render_text(report)


def test_a_verified_verification_needs_no_event_of_its_correct_code() -> None:
    row = VerificationRow(UUID(int=101), at(9))
    report = report_of(messages=[a_message()], attempts=[an_attempt()], verifications=[row])
    assert report.diagnosis.kind is DiagnosisKind.VERIFIED


def test_each_verification_has_a_timeline_that_counts_the_messages_of_24_hours() -> None:
    day = 86_400
    messages = [a_message(1, 1, 0), a_message(2, 2, 400), a_message(3, 2, 500), a_message(4, 3, day + 450)]
    attempts = [an_attempt(each, begun=message.created_at.timestamp() - NOON.timestamp() + 1)
                for each, message in enumerate(messages, start=1)]  # fmt: skip
    report = report_of(now=2 * day, messages=messages, attempts=attempts)

    assert [timeline.verification_id for timeline in report.timelines] == [UUID(int=100 + n) for n in (1, 2, 3)]
    counts = [[step.text for step in timeline.steps if step.actor == "limits"] for timeline in report.timelines]
    text = "allowed the request: message {} to this number in 24 hours"
    assert counts == [[text.format(1)], [text.format(2), text.format(3)], [text.format(2)]]
    for timeline in report.timelines:
        assert [step.at for step in timeline.steps] == sorted(step.at for step in timeline.steps)


def test_consecutive_refusals_of_one_purpose_share_a_timeline() -> None:
    refusals = [a_refusal(each, "number_taken", None) for each in (0, 1, 2)]
    other = replace(a_refusal(3), purpose=Purpose.SIGN_IN)
    report = report_of(verification_events=[*refusals, other])
    assert [(timeline.purpose, len(timeline.steps)) for timeline in report.timelines] == [
        (Purpose.SIGN_UP, 6),
        (Purpose.SIGN_IN, 2),
    ]
    assert report.timelines[0].diagnosis.kind is DiagnosisKind.ACCOUNT


def test_a_note_says_that_only_so_many_refusals_are_kept_for_a_day() -> None:
    full = [a_refusal(each) for each in range(REFUSALS_PER_DAY)]
    assert report_of(verification_events=full).timelines[0].notes == [FULL_DAY]
    assert report_of(verification_events=full[1:]).timelines[0].notes == []


def many(verifications: int) -> dict[str, Any]:
    """The rows of a busy test number: a verification every ten minutes, each with one refusal and a correct code."""
    each = range(1, verifications + 1)
    return {
        "messages": [a_message(n, n, requested=600 * n) for n in each],
        "attempts": [an_attempt(n, begun=600 * n + 0.5) for n in each],
        "verification_events": [
            row
            for n in each
            for row in (a_refusal(600 * n + 5), a_check(EventKind.CORRECT, 600 * n + 9, verification=n))
        ],
    }


class FakeHistory:
    """The rows of a number, and an auth-service that remembers which tickets it was asked about."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.requested: list[UUID] = []

    async def history(self, phone_ref: int, days: int) -> History:  # noqa: ARG002  there is one number
        return self._history

    async def sampled_refusals(self) -> SampledRefusals:
        return SampledRefusals(callers=3, spending=2)

    async def subject(self, identity: UUID) -> Subject:
        return Subject(7, identity)

    async def sealed_number(self, phone_ref: int) -> None:  # noqa: ARG002  as above
        return None

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets:
        self.requested = list(verification_ids)
        return NOTHING_SPENT

    async def explain(self, subject: E164 | UUID) -> Report:
        return await Explainer(self, self, PHONES, SEAL).explain(subject)


async def test_a_report_has_the_newest_timelines_and_an_older_one_is_found_by_its_id() -> None:
    fake = FakeHistory(History(at(10**6), **many(MAX_TIMELINES + 20)))
    report = await fake.explain(E164("+8613800138000"))

    newest = [UUID(int=100 + n) for n in range(21, MAX_TIMELINES + 21)]
    assert [timeline.verification_id for timeline in report.timelines] == newest
    assert fake.requested == newest
    assert report.notes == [LEFT_OUT.format(shown=MAX_TIMELINES, all=MAX_TIMELINES + 20)]
    assert "- The newest 100 of 120 timelines are shown." in render_text(report)
    assert {len(timeline.steps) for timeline in report.timelines} == {8}

    report = await fake.explain(UUID(int=105))
    assert [timeline.verification_id for timeline in report.timelines] == fake.requested == [UUID(int=105)]
    assert (report.diagnosis, report.notes) == (report.timelines[0].diagnosis, [])


async def test_the_cost_of_a_report_grows_with_the_rows_and_not_with_their_square() -> None:
    async def steps(verifications: int) -> int:
        """How many bytecode instructions a report takes."""
        fake, executed = FakeHistory(History(at(10**6), **many(verifications))), 0

        def trace(frame: FrameType, event: str, arg: object) -> Any:  # noqa: ARG001  the signature of a trace function
            nonlocal executed
            frame.f_trace_opcodes = True
            executed += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await fake.explain(E164("+8613800138000"))
        finally:
            sys.settrace(before)
        return executed

    assert await steps(800) < 2.5 * await steps(400)


def test_a_terminal_shows_the_diagnosis_first_and_aligned_columns() -> None:
    second = an_attempt(sender="a-second-one", begun=1, provider_id="SM1")
    messages = [a_message(), a_message(2, 2, 4000)]
    first = an_attempt(outcome="refused", finished_at=at(1))
    text = render_text(report_of(now=4100, messages=messages, attempts=[first, second, an_attempt(2, begun=4001)]))

    lines = text.splitlines()
    assert lines[0] == "+8613800138000  (reference 00ff; the last 30 days; times are UTC)"
    assert lines[2] == "=> mainland accepted the message 1 min 38 s ago and has sent no receipt."
    assert "1. sign_up: verification 00000000-0000-0000-0000-000000000065" in lines
    assert "   2026-05-04 12:00:00.500        +0.500 s  worker        claimed the message for mainland" in lines
    assert (
        "   2026-05-04 12:00:01.500        +0.500 s  a-second-one  accepted the message  (outcome accepted, provider_id SM1)"
        in lines
    )


@pytest.mark.parametrize(
    ("duration", "shown"),
    [(0, "0.000 s"), (9.9994, "9.999 s"), (42.4, "42 s"), (300, "5 min 0 s"), (7260, "2 h 1 min"), (200_000, "2 days")],
)
def test_a_duration_is_shown_in_the_units_that_people_use(duration: float, shown: str) -> None:
    assert format_duration(timedelta(seconds=duration)) == shown


DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "explain.md"


def test_the_documentation_shows_a_report_as_it_is_rendered() -> None:
    requested_at = datetime(2026, 11, 21, 15, 13, 37, 977_000, tzinfo=UTC)
    message = replace(
        a_message(),
        message_id=UUID("01a1feab-8cb9-7040-a46d-a71f1441dd23"),
        verification_id=UUID("01a1feab-8cb9-7040-a46d-a71ee4de7763"),
        dialect="maitian",
        created_at=requested_at,
        expires_at=requested_at + timedelta(minutes=5),
    )
    attempt = replace(
        an_attempt(),
        message_id=message.message_id,
        started_at=requested_at + timedelta(milliseconds=18),
        finished_at=requested_at + timedelta(milliseconds=20),
    )
    refusal = replace(a_refusal(0, wait=58), at=requested_at + timedelta(milliseconds=2017), dialect="maitian")
    history = History(requested_at + timedelta(milliseconds=2726), [message], [attempt], [refusal])
    report = build_report("+8613800138000", "440ad19427ebbe82", 30, select(history), NOTHING_SPENT)

    (_, sample, *_) = re.findall(r"^```(?:sh)?\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert sample == render_text(report)


def test_the_documentation_names_every_kind_of_diagnosis() -> None:
    table = DOCUMENT.read_text().partition("| Kind |")[2].partition("\n\n")[0]
    kinds = [kind for line in table.splitlines() for kind in re.findall(r"`([a-z_]+)`", line.split(" | ")[0])]
    assert sorted(kinds) == sorted(DiagnosisKind)


async def test_a_number_without_rows_is_told_of_the_refusals_that_are_sampled() -> None:
    diagnosis = (await FakeHistory(History(at(0))).explain(E164("+8613800138000"))).diagnosis

    assert "3 by the limit on callers and 2 by spending were kept" in diagnosis.text
    assert diagnosis.advice == SAMPLED_ADVICE
    assert "the gateway" in nothing_requested(30, SampledRefusals()).advice
