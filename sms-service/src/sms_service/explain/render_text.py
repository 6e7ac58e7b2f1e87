"""A report as text for a terminal: aligned, in UTC, with the time since the step before."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sms_service.explain.report import Diagnosis, Report, Step, Timeline
from sms_service.explain.steps import format_duration

WIDTH = 100


def render_text(report: Report) -> str:
    """The diagnosis first, then each timeline, oldest first."""
    lines = [f"{report.number}  (reference {report.phone_ref}; the last {report.days} days; times are UTC)", ""]
    lines += _diagnosis(report.diagnosis)
    for note in report.notes:
        lines += ["", *_wrapped(note, "- ")]
    for number, timeline in enumerate(report.timelines, start=1):
        lines += ["", *_timeline(timeline, number, alone=len(report.timelines) == 1)]
    return "\n".join(lines) + "\n"


def _timeline(timeline: Timeline, number: int, *, alone: bool) -> Iterator[str]:
    title = (
        f"verification {timeline.verification_id}" if timeline.verification_id else "refused, without a verification"
    )
    yield f"{number}. {timeline.purpose.value}: {title}"
    if not alone:
        yield from _wrapped(timeline.diagnosis.text, "   = ")
    width = max(len(step.actor) for step in timeline.steps)
    before: datetime | None = None
    for step in timeline.steps:
        elapsed = _elapsed(before, step.at)
        yield f"   {_clock(step.at)}  {elapsed:>14}  {step.actor:<{width}}  {step.text}{_details(step)}"
        before = step.at
    for note in timeline.notes:
        yield from _wrapped(note, "   - ")


def _diagnosis(diagnosis: Diagnosis) -> Sequence[str]:
    return [*_wrapped(diagnosis.text, "=> "), *_wrapped(diagnosis.advice, "   ")]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def _elapsed(before: datetime | None, at: datetime) -> str:
    if before is None or at - before < timedelta(milliseconds=1):
        return ""
    return "+" + format_duration(at - before)


def _details(step: Step) -> str:
    return f"  ({', '.join(f'{name} {value}' for name, value in step.details.items())})" if step.details else ""
