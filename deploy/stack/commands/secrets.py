"""``make secrets``: write the secret files of ``docker-compose.yml`` that are missing."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from stack.secret_files import write_missing

VARIABLE = "SECRETS_FOLDER"
LINE = re.compile(rf"^{VARIABLE}=(.+)$", re.MULTILINE)


def secrets(folder: Path | None) -> int:
    """Write the missing files into ``folder`` and print how many. Those that exist stay. Returns the exit status."""
    folder = folder or folder_of_compose(os.environ, Path(".env"))
    try:
        made = write_missing(folder)
    except OSError as error:
        print(f"{folder}: {error.strerror}. {VARIABLE} must be a folder in which you may write", file=sys.stderr)
        return 1
    print(f"{folder}: {len(made)} files written" if made else f"{folder}: all files exist, nothing changed")
    return 0


def folder_of_compose(environ: Mapping[str, str], settings: Path) -> Path:
    """Where Compose looks for the files: as the environment says, or else the ``.env`` file, or else ``./secrets``."""
    lines = LINE.findall(settings.read_text()) if settings.exists() else []
    in_file = lines[-1].strip().strip("'\"") if lines else ""
    return Path(environ.get(VARIABLE) or in_file or "secrets")
