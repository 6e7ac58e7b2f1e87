"""What the ``audit`` commands of the services share: their arguments, and how they print."""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from shared.audit.chain import Anchor, Chain
from shared.errors import ServiceError
from shared.process.startup import UnreachableError

if TYPE_CHECKING:  # every command reads these arguments, and most of them need neither database nor number
    from shared.audit.verification import Verification
    from shared.phone import E164

ABOUT = "The audit trail: every decision about who someone is. verify finds changed rows; show prints them."
VERIFY = "Find the first sealed row that was changed, deleted, inserted or moved, and exit with 1 if there is one."
SHOW = "Print rows of the audit trail, oldest first. Filters combine: a row has to pass all of them."
BROKEN = 1
NOT_READ = 2
"""The exit status when the trail could not be read."""
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
WAITING_TOO_LONG = timedelta(minutes=15)
ResultT = TypeVar("ResultT")


def add_commands(
    parsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    verify: Callable[..., None],
    show: Callable[..., None],
) -> argparse.ArgumentParser:
    """The command ``audit`` with its two actions, as ``options.run``. Returns the parser of ``show``."""
    actions = parsers.add_parser("audit", help=ABOUT, description=ABOUT).add_subparsers(metavar="ACTION", required=True)
    verifying = actions.add_parser("verify", help=VERIFY, description=VERIFY)
    showing = actions.add_parser("show", help=SHOW, description=SHOW)
    _add_verify(verifying)
    _add_filters(showing)
    verifying.set_defaults(run=verify)
    showing.set_defaults(run=show)
    return showing


def since_of(options: argparse.Namespace, *subjects: object) -> datetime | None:
    """Since when rows are shown: the last day, if nothing else says which."""
    if options.since is None and all(subject is None for subject in subjects):
        return datetime.now(UTC) - timedelta(days=1)
    since: datetime | None = options.since
    return since


def run(work: Coroutine[Any, Any, ResultT], service: str) -> ResultT:
    """The result of reading the trail. Exits with 2 and one line of explanation when that fails."""
    try:
        return asyncio.run(work)
    except UnreachableError as error:
        reason = str(error)
    except ServiceError:
        reason = "PostgreSQL does not respond; try again"
    sys.stderr.write(f"{service}: {reason}\n")
    raise SystemExit(NOT_READ)


def print_verification(chain: Chain, found: "Verification", *, as_json: bool) -> None:
    """Print the result of ``audit verify``, and exit with 1 if the trail is broken."""
    sys.stdout.write(report(chain.table.name, found, datetime.now(UTC), as_json=as_json))
    if found.broken:
        raise SystemExit(BROKEN)


def print_rows(
    headings: Sequence[str], cells: Sequence[Sequence[str]], rows: Sequence[Mapping[str, object]], *, as_json: bool
) -> None:
    """Print the rows of ``audit show``: as a table, or each as a line of JSON."""
    if as_json:
        sys.stdout.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    else:
        sys.stdout.write(table(headings, cells))


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--anchor",
        type=_anchor,
        metavar="NUMBER:HASH",
        help="a seal from the log (audit.sealed) that the trail must still have: shows that its end was not cut off",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--number", type=_number, metavar="NUMBER", help="rows about this phone number, in any format")
    parser.add_argument(
        "--since",
        type=_moment,
        metavar="TIME",
        help="rows since then: 90m, 24h or 7d ago, or ISO 8601 such as 2026-11-28T06:00:00+08:00, UTC without offset "
        "(default: 24h, if no other filter is there)",
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each row, for programs")


def report(name: str, found: "Verification", now: datetime, *, as_json: bool) -> str:
    """The result of ``audit verify`` as text."""
    if as_json:
        return json.dumps(_fields(name, found)) + "\n"
    lines = [f"{name}: {found.rows} rows are as they were sealed, in seals up to {found.end.number}"]
    if found.waiting:
        lines.append(f"{name}: {found.waiting} rows wait for a seal, since {_time(found.oldest_waiting)}")
    if found.oldest_waiting and now - found.oldest_waiting > WAITING_TOO_LONG:
        lines.append(f"{name}: WARNING: no process seals, or the end of the chain was cut off. Compare the anchor")
    if found.broken:
        lines.append(f"{name}: BROKEN at {_place(found)}: {found.broken.text}")
    return "\n".join([*lines, f"anchor: {found.end}", ""])


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as text in columns. The last column is not padded."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (headings, *rows))
    return "".join(line.rstrip() + "\n" for line in lines)


def time_text(moment: datetime) -> str:
    """A moment to the millisecond, in UTC."""
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def _time(moment: datetime | None) -> str:
    return f"{time_text(moment)} UTC" if moment else ""


def _place(found: "Verification") -> str:
    broken = found.broken
    if broken is None:
        return ""
    places = (
        f"row {broken.row_id}" if broken.row_id else "",
        _time(broken.at),
        "" if broken.seal is None else f"seal {broken.seal}",
    )
    return ", ".join(filter(None, places)) or "the start"


def _fields(name: str, found: "Verification") -> dict[str, object]:
    broken = found.broken
    return {
        "chain": name,
        "rows": found.rows,
        "anchor": str(found.end),
        "waiting": found.waiting,
        "oldest_waiting": found.oldest_waiting.isoformat() if found.oldest_waiting else None,
        "broken": broken
        and {
            "text": broken.text,
            "seal": broken.seal,
            "row": str(broken.row_id) if broken.row_id else None,
            "at": broken.at.isoformat() if broken.at else None,
        },
    }


def _anchor(text: str) -> Anchor:
    try:
        return Anchor.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected <number>:<64 hex digits>, as audit.sealed logs it") from None


def _number(text: str) -> "E164":
    from shared.phone import parse_any  # noqa: PLC0415  as above

    try:
        return parse_any(text)
    except ServiceError:
        raise argparse.ArgumentTypeError("this is no phone number") from None


def _moment(text: str) -> datetime:
    ago = re.fullmatch(r"([0-9]{1,5})([mhd])", text)
    if ago:
        return datetime.now(UTC) - int(ago[1]) * UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected 90m, 24h, 7d or a time such as 2026-11-28T06:00:00+08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
