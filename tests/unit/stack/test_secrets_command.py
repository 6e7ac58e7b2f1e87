"""``make secrets`` writes where Compose reads."""

from pathlib import Path

import pytest
from stack.commands.secrets import folder_of_compose, secrets


@pytest.mark.parametrize(
    ("environ", "settings", "folder"),
    [
        ({}, "", "secrets"),
        ({}, "# SECRETS_FOLDER=./secrets\nSECRETS_FOLDER=\n", "secrets"),
        ({}, "TAG=1\nSECRETS_FOLDER='/srv/haoma secrets'\n", "/srv/haoma secrets"),
        ({"SECRETS_FOLDER": "/run/ours"}, "SECRETS_FOLDER=/srv/secrets\n", "/run/ours"),
        ({"SECRETS_FOLDER": ""}, "SECRETS_FOLDER=/srv/secrets\n", "/srv/secrets"),
    ],
    ids=["neither", "a comment", "the file", "the environment", "an empty variable"],
)
def test_the_folder_is_that_of_compose(tmp_path: Path, environ: dict[str, str], settings: str, folder: str) -> None:
    (tmp_path / ".env").write_text(settings)
    assert folder_of_compose(environ, tmp_path / ".env") == Path(folder)


def test_without_settings_it_is_beside_the_compose_file(tmp_path: Path) -> None:
    assert folder_of_compose({}, tmp_path / ".env") == Path("secrets")


def test_a_folder_that_cannot_be_written_is_one_line_that_names_the_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()

    for folder in (file, file / "inside", Path("/proc/secrets")):
        assert secrets(folder) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{folder}: ")
        assert "SECRETS_FOLDER must be a folder" in line
