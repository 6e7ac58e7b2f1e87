"""The files that create the roles, with the passwords filled in."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stack.roles.catalogue import FOLDER


def fill(name: str, target: Path, passwords: Mapping[str, str]) -> None:
    """Write the file ``name`` of this folder to ``target`` (mode 0600), each ``@NAME@`` replaced by the password."""
    target.unlink(missing_ok=True)
    command = ["bash", str(FOLDER / "fill.sh"), str(FOLDER / name), str(target)]
    subprocess.run(command, env={"PATH": os.environ["PATH"], **passwords}, check=True)
