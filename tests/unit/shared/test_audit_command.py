"""What ``audit verify`` and ``audit show`` print, and which filters they take."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.audit.chain import Anchor
from shared.audit.command import add_commands, report, since_of, table
from shared.audit.verification import Verification
from shared.audit.verifier import Break

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
END = Anchor(12, bytes(32))


def verification(broken: Break | None = None, waiting: int = 0, since: datetime | None = None) -> Verification:
    return Verification(340, END, waiting, since, broken)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(), print, print)
    return parser.parse_args(["audit", *words])


def test_a_whole_trail_is_one_line_and_its_anchor() -> None:
    assert report("audit_log", verification(), NOON, as_json=False) == (
        f"audit_log: 340 rows are as they were sealed, in seals up to 12\nanchor: 12:{'00' * 32}\n"
    )


def test_a_break_is_named_with_its_row_time_and_seal() -> None:
    broken = Break("this row was changed", 7, UUID(int=5), NOON)
    text = report("audit_log", verification(broken), NOON, as_json=False)
    assert (
        "audit_log: BROKEN at row 00000000-0000-0000-0000-000000000005, 2026-11-28 12:00:00.000 UTC, seal 7: "
        "this row was changed\n"
    ) in text
    assert "BROKEN at the start: moved" in report("x", verification(Break("moved")), NOON, as_json=False)
    assert json.loads(report("audit_log", verification(broken), NOON, as_json=True))["broken"] == {
        "text": "this row was changed",
        "seal": 7,
        "row": "00000000-0000-0000-0000-000000000005",
        "at": "2026-11-28T12:00:00+00:00",
    }


@pytest.mark.parametrize(("minutes", "warns"), [(14, False), (16, True)])
def test_rows_that_wait_too_long_are_a_warning(minutes: int, warns: bool) -> None:
    text = report("audit_log", verification(waiting=3, since=NOON - timedelta(minutes=minutes)), NOON, as_json=False)
    assert "3 rows wait for a seal" in text
    assert ("WARNING" in text) is warns


def test_a_table_has_columns_and_no_space_at_the_end_of_a_line() -> None:
    assert table(("A", "LONG"), [("first", "x"), ("b", "")]) == "A      LONG\nfirst  x\nb\n"
    assert table(("A", "B"), []) == "A  B\n"


def test_filters_are_read_as_people_write_them() -> None:
    options = parsed("show", "--number", "138 0013 8000", "--since", "2026-11-28T14:00:00+08:00")
    assert (options.number, options.since) == ("+8613800138000", NOON - timedelta(hours=6))
    assert parsed("show", "--since", "2026-11-28").since == NOON - timedelta(hours=12)
    for text, past in (("90m", timedelta(minutes=90)), ("24h", timedelta(days=1)), ("7d", timedelta(days=7))):
        assert abs(datetime.now(UTC) - past - parsed("show", "--since", text).since) < timedelta(minutes=1)


def test_without_a_filter_the_last_day_is_shown() -> None:
    options = parsed("show")
    since = since_of(options, None, None)
    assert since is not None
    assert abs(datetime.now(UTC) - timedelta(days=1) - since) < timedelta(minutes=1)
    assert since_of(options, None, 7) is None
    assert since_of(parsed("show", "--since", "2026-11-28"), None) == NOON - timedelta(hours=12)


@pytest.mark.parametrize(
    "words",
    [("show", "--number", "x"), ("show", "--since", "soon"), ("show", "--since", "7"), ("verify", "--anchor", "1"), ()],
)
def test_what_cannot_be_read_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        parsed(*words)
    assert error.value.code == 2
    assert "usage" in capsys.readouterr().err
