"""A long command yields to the services, whose sessions Linux weighs against its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from auth_service.commands.priority import session_yielding

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


def test_a_system_that_does_not_group_by_session_has_no_file_and_gets_none(tmp_path: Path) -> None:
    with session_yielding(10, tmp_path / "missing"):
        assert not (tmp_path / "missing").exists()


def test_a_command_is_nicer_than_the_process_that_started_it() -> None:
    """In a process with a session of its own: its niceness could not be taken back here."""
    words = (sys.executable, "-c", PROGRAM)
    result = subprocess.run(words, capture_output=True, text=True, check=True, start_new_session=True)

    assert result.stdout == "2\n"
