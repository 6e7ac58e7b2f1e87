"""A command within the running stack: with the addresses and secrets that its services have."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from stack import keys
from stack.folder import MAIN_FOLDER, ROOT
from stack.services import python_path


def inside(words: Sequence[str]) -> int:
    """Become the command; ``python`` is ours. Returns 1 when no stack runs here or there is no such command."""
    addresses = MAIN_FOLDER / "stack.env"
    if not addresses.exists():
        print("no stack runs here: start it with `make run`", file=sys.stderr)
        return 1
    kept = keys.keep(MAIN_FOLDER / "secrets.env")
    os.chdir(ROOT)
    command = [sys.executable if words[0] == "python" else words[0], *words[1:]]
    try:
        os.execvpe(command[0], command, environment(os.environ, keys.ours(kept), addresses.read_text()))  # noqa: S606
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 1


def environment(given: Mapping[str, str], kept: Mapping[str, str], addresses: str) -> dict[str, str]:
    """What a service is told: secrets unless the caller has his own, addresses as they are."""
    found = dict(line.split("=", 1) for line in shlex.split(addresses))
    path = python_path(given.get("PYTHONPATH", ""))
    made = {name: given.get(name) or value for name, value in {"ENVIRONMENT": "development", **kept}.items()}
    rest = {name: value for name, value in given.items() if name != "PYTHONPATH"}
    return {**rest, **({"PYTHONPATH": path} if path else {}), **made, **found}
