"""A command within the running stack: with the settings, addresses and secrets that its services have."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from stack import keys, leftovers
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
        told = environment(os.environ, keys.ours(kept), addresses.read_text(), _told_to_services())
        os.execvpe(command[0], command, told)  # noqa: S606
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 1


def environment(
    given: Mapping[str, str], kept: Mapping[str, str], addresses: str, services: Mapping[str, str]
) -> dict[str, str]:
    """What a service is told: settings and secrets unless the caller has his own, addresses as they are."""
    found = dict(line.split("=", 1) for line in shlex.split(addresses))
    path = python_path(given.get("PYTHONPATH", ""))
    made = {"ENVIRONMENT": "development", **kept}
    made = {name: given.get(name) or services.get(name) or value for name, value in made.items()}
    rest = {name: value for name, value in given.items() if name != "PYTHONPATH"}
    return {**services, **rest, **({"PYTHONPATH": path} if path else {}), **made, **found}


def _told_to_services() -> dict[str, str]:
    """The environment of a service that runs, such as SMS_CONFIG_FILE and what that file names."""
    told = (leftovers.environ(pid) for pid in leftovers.find(MAIN_FOLDER))
    found = next((variables for variables in told if "SERVICE_TOKEN" in variables), {})
    return {name: value for name, value in found.items() if name not in {leftovers.MARK, "PYTHONPATH"}}
