"""A long command yields to the services, whose sessions Linux weighs against its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from pathlib import Path
from auth_service.commands.priority import yielding

file = Path(sys.argv[1])
try:
    with yielding(10, file):
        print(os.getpriority(os.PRIO_PROCESS, 0) - int(sys.argv[2]), file.read_text() if file.exists() else "no file")
        raise OSError("of the block")
except OSError as error:
    print(error)
"""


def yields(file: Path) -> list[str]:
    """What a process prints within the block, and the error of the block: a niceness cannot be taken back here."""
    words = (sys.executable, "-c", PROGRAM, file, str(os.getpriority(os.PRIO_PROCESS, 0)))
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(("before", "meanwhile"), [(0, 10), (15, 15)])
def test_a_command_and_its_session_are_nicer_until_it_ends(tmp_path: Path, before: int, meanwhile: int) -> None:
    file = tmp_path / "autogroup"
    file.write_text(f"/autogroup-7 nice {before}\n")

    assert yields(file) == [f"10 {meanwhile}", "of the block"]
    assert file.read_text() == str(before)


def test_a_command_is_nicer_where_linux_does_not_group_by_session(tmp_path: Path) -> None:
    assert yields(tmp_path / "missing") == ["10 no file", "of the block"]
