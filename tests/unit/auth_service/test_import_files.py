"""The files that an operator gets from an import: those of errors and ids."""

import stat
from pathlib import Path

import pytest

from auth_service.importing.output import OutputFiles
from auth_service.importing.refusals import LineRefusedError, Reason


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


def test_only_the_operator_can_read_the_files(tmp_path: Path) -> None:
    """The id of a user there may be their number."""
    with OutputFiles(tmp_path / "errors", tmp_path / "ids"):
        pass
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("errors", "ids")} == {0o600}


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
