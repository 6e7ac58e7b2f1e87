"""A story on a terminal: aligned, in UTC, with the gap since the step before."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sms_service.explain.report import Diagnosis, Report, Step, Timeline
from sms_service.explain.steps import seconds

WIDTH = 100


def render_text(story: Report) -> str:
    """The whole of it: the answer first, then each timeline, oldest first."""
    lines = [f"{story.about}  (reference {story.phone_ref}; the last {story.days} days; times are UTC)", ""]
    lines += _answer(story.verdict)
    for note in story.notes:
        lines += ["", *_wrapped(note, "- ")]
    for number, timeline in enumerate(story.timelines, start=1):
        lines += ["", *_timeline(timeline, number, alone=len(story.timelines) == 1)]
    return "\n".join(lines) + "\n"


def _timeline(timeline: Timeline, number: int, *, alone: bool) -> Iterator[str]:
    what = f"verification {timeline.verification_id}" if timeline.verification_id else "asked, and no message made"
    yield f"{number}. {timeline.purpose.value}: {what}"
    if not alone:
        yield from _wrapped(timeline.verdict.said, "   = ")
    actor = max(len(entry.by) for entry in timeline.entries)
    before: datetime | None = None
    for entry in timeline.entries:
        yield f"   {_clock(entry.at)}  {_gap(before, entry.at):>14}  {entry.by:<{actor}}  {entry.said}{_facts(entry)}"
        before = entry.at
    for note in timeline.notes:
        yield from _wrapped(note, "   - ")


def _answer(verdict: Diagnosis) -> Sequence[str]:
    return [*_wrapped(verdict.said, "=> "), *_wrapped(verdict.advice, "   ")]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def _gap(before: datetime | None, at: datetime) -> str:
    if before is None or at - before < timedelta(milliseconds=1):
        return ""
    return "+" + seconds(at - before)


def _facts(entry: Step) -> str:
    return f"  ({', '.join(f'{name} {value}' for name, value in entry.facts.items())})" if entry.facts else ""
