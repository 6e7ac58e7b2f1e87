"""A long command yields to the services, whose sessions Linux weighs against its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from auth_service.commands.priority import PAUSE_SECONDS, session_yielding

PROGRAM = """
import os
from auth_service.commands.priority import yielding
before = os.getpriority(os.PRIO_PROCESS, 0)
with yielding(2):
    print(os.getpriority(os.PRIO_PROCESS, 0) - before)
"""


def niceness(file: Path) -> int:
    return int(file.read_text().split()[-1])


def test_a_session_is_nicer_until_the_command_in_it_ends_however_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "autogroup"
    file.write_text("/autogroup-7 nice 0\n")

    def run() -> None:
        with session_yielding(10, file):
            raise OSError(f"failed at {niceness(file)}")

    with pytest.raises(OSError, match="failed at 10"):
        run()

    assert niceness(file) == 0


def test_of_two_commands_in_a_session_the_first_one_takes_it_back(tmp_path: Path) -> None:
    file = tmp_path / "autogroup"
    file.write_text("/autogroup-7 nice 0\n")

    with session_yielding(10, file):
        with session_yielding(10, file):
            pass
        assert niceness(file) == 10

    assert niceness(file) == 0


def test_a_session_that_is_nicer_stays_so(tmp_path: Path) -> None:
    file = tmp_path / "autogroup"
    file.write_text("/autogroup-7 nice 15\n")

    with session_yielding(10, file):
        assert niceness(file) == 15


class BusyFile(type(Path())):  # type: ignore[misc]  # Path is one of two classes until Python 3.12
    """A file that the kernel lets one change in a while."""

    refusals = 0

    def write_text(self, *words: str) -> int:
        """Refuse every second write."""
        BusyFile.refusals += 1
        if BusyFile.refusals % 2:
            raise BlockingIOError
        return Path(self).write_text(*words)


def test_a_change_that_the_kernel_puts_off_is_made_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    file = BusyFile(tmp_path / "autogroup")
    (tmp_path / "autogroup").write_text("/autogroup-7 nice 0\n")

    with session_yielding(10, file):
        assert niceness(file) == 10

    assert niceness(file) == 0
    assert pauses == [PAUSE_SECONDS] * 2


def test_a_session_without_a_group_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "autogroup"
    file.write_text("")

    with session_yielding(10, file):
        assert file.read_text() == ""


def test_a_system_that_does_not_group_by_session_has_no_file_and_gets_none(tmp_path: Path) -> None:
    with session_yielding(10, tmp_path / "missing"):
        assert not (tmp_path / "missing").exists()


def test_a_command_is_nicer_than_the_process_that_started_it() -> None:
    """In a process with a session of its own: its niceness could not be taken back here."""
    words = (sys.executable, "-c", PROGRAM)
    result = subprocess.run(words, capture_output=True, text=True, check=True, start_new_session=True)

    assert result.stdout == "2\n"
