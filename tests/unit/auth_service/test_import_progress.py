"""What an operator sees of an import: the bar, the rate, the time left, and the files of errors and ids."""

import io
from pathlib import Path

import pytest

from auth_service.commands.progress import LOG_SECONDS, TERMINAL_SECONDS, Progress
from auth_service.importing.output import OutputFiles
from auth_service.importing.refusals import LineRefusedError, Reason


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bar_has_the_rate_and_the_time_left() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), 1_000, clock)
    clock.now += 60

    assert progress.text(3_000, 250) == "[########......................]  25%  3000 lines, 50 a second, 0:03:00 left"
    assert progress.text(3_000, 2_000).startswith(f"[{'#' * 30}] 100%")


def test_without_a_size_there_is_a_rate_only() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), None, clock)
    clock.now += 2
    assert progress.text(100, 9_000) == "100 lines, 50 a second"


def test_a_terminal_shows_one_line_that_changes_and_a_log_a_line_now_and_then() -> None:
    clock = Clock()
    terminal, log = Terminal(), io.StringIO()
    shown, logged = Progress(terminal, None, clock), Progress(log, None, clock)
    for _ in range(4):
        clock.now += TERMINAL_SECONDS
        shown.note(1, 1)
        logged.note(1, 1)
    clock.now += LOG_SECONDS
    logged.note(1, 1)
    shown.close()
    logged.close()

    assert (terminal.getvalue().count("\r"), terminal.getvalue().count("\n")) == (4, 1)
    assert (log.getvalue().count("\r"), log.getvalue().count("\n")) == (0, 1)


def test_refused_lines_and_new_ids_are_lines_of_json(tmp_path: Path) -> None:
    errors, ids = tmp_path / "errors", tmp_path / "ids"
    with OutputFiles(errors, ids) as output:
        output.refused(7, LineRefusedError(Reason.FIELD_INVALID, "created_at"))
        output.refused(9, LineRefusedError(Reason.NUMBER_TAKEN))
        output.mapped("uid-1", 2**50)
        output.mapped(15, 15)

    assert errors.read_text() == (
        '{"line":7,"reason":"field_invalid","detail":"created_at"}\n{"line":9,"reason":"number_taken"}\n'
    )
    assert ids.read_text() == f'{{"id":"uid-1","user_id":{2**50}}}\n'


def test_a_file_of_errors_is_written_anew(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    errors.write_text("old")
    with OutputFiles(errors):
        pass
    assert errors.read_text() == ""


def test_errors_may_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with OutputFiles(Path("-")) as output:
        output.refused(7, LineRefusedError(Reason.NUMBER_TAKEN))
    assert capfd.readouterr().err == '{"line":7,"reason":"number_taken"}\n'


def test_a_full_disk_is_an_error_at_once() -> None:
    def write() -> None:
        with OutputFiles(Path("/dev/full")) as output:
            output.refused(7, LineRefusedError(Reason.NUMBER_TAKEN))
            output.flush()
            raise AssertionError("nothing was wrong")

    with pytest.raises(OSError, match="No space left"):
        write()
