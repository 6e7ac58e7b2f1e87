"""What `make run` shows of the logs: one short line for each request, and what went wrong. The files keep the JSON."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

SILENT_ROUTES = ("/static/", "/docs/viewer/", "/livez", "/readyz", "/metrics")
"""Routes whose successes are not shown: what a page loads, and what watches the system."""
TROUBLE = frozenset({"warning", "error", "critical"})
ENVELOPE = frozenset({"event", "level", "timestamp", "service", "exception"})


def for_people(line: str) -> Iterator[str]:
    """The lines that a person sees for one line of a log: none, one, or one with the traceback below it.

    A line that is not a log entry, such as the output of a crash, is shown as it is.
    """
    entry = _read(line)
    if entry is None:
        yield line
    elif entry["event"] == "request.answered" and entry.get("service") == "gateway":
        if not _is_silent(entry):
            yield _request(entry)
    elif entry.get("level") in TROUBLE:
        facts = [f"{name}={value}" for name, value in entry.items() if name not in ENVELOPE]
        yield "  ".join([_clock(entry), str(entry["level"]), str(entry["event"]), *facts])
        yield from str(entry.get("exception", "")).splitlines()


def _read(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _is_silent(entry: Mapping[str, Any]) -> bool:
    return int(entry["status"]) < 400 and any(route in str(entry["route"]) for route in SILENT_ROUTES)


def _request(entry: Mapping[str, Any]) -> str:
    call = f"{_clock(entry)}  {entry['status']}  {entry['method']:<6} {entry['route']}  {entry['ms']:.0f} ms"
    return f"{call}  {entry['refusal']}" if entry.get("refusal") else call


def _clock(entry: Mapping[str, Any]) -> str:
    """The time of day on this machine."""
    return f"{datetime.fromisoformat(entry['timestamp']).astimezone():%H:%M:%S}"
