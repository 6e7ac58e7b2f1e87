"""A command does not write over a file that it reads."""

import os
from pathlib import Path

import pytest

from shared.commands.output_files import require_distinct


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users.ndjson"
    file.write_text("{}")
    return file


def test_a_file_that_is_read_is_not_written(users: Path) -> None:
    with pytest.raises(ValueError, match="named for two purposes"):
        require_distinct([users], [users])


def test_a_file_is_known_by_every_one_of_its_names(users: Path, tmp_path: Path) -> None:
    link, hard_link = tmp_path / "link", tmp_path / "hard link"
    link.symlink_to(users)
    os.link(users, hard_link)
    for name in (link, hard_link, tmp_path / "folder" / ".." / "users.ndjson"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match="named for two purposes"):
            require_distinct([users], [name])


def test_two_files_that_are_written_are_two(users: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="named for two purposes"):
        require_distinct([users], [tmp_path / "new", tmp_path / "." / "new"])
    require_distinct([users], [tmp_path / "new", tmp_path / "other"])


def test_streams_and_devices_may_be_named_twice(users: Path) -> None:
    require_distinct([users, None, Path("-")], [Path("-"), None, Path("/dev/null"), Path("/dev/null")])
