"""Run a command with the settings, addresses and secrets that the services of the running stack have."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from stack import keys, orphans
from stack.folder import MAIN_FOLDER, ROOT
from stack.services import python_path


def execute(words: Sequence[str]) -> int:
    """Replace this process with the command; ``python`` means this interpreter.

    Returns 1 if no stack runs in this checkout or the command does not exist.
    """
    environ = environment_of_the_running_stack()
    if environ is None:
        return 1
    os.chdir(ROOT)
    command = [sys.executable if words[0] == "python" else words[0], *words[1:]]
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 1


def environment_of_the_running_stack() -> dict[str, str] | None:
    """The environment of its services; None, and a line on stderr, if no stack runs in this checkout."""
    addresses = MAIN_FOLDER / "stack.env"
    if not addresses.exists():
        print("no stack runs in this checkout: start one with `make run`", file=sys.stderr)
        return None
    secrets = keys.load_or_create(MAIN_FOLDER / "secrets.env")
    return environment(os.environ, keys.for_services(secrets), addresses.read_text(), _service_environment())


def environment(
    caller: Mapping[str, str], secrets: Mapping[str, str], addresses: str, service: Mapping[str, str]
) -> dict[str, str]:
    """The environment of the command.

    A variable of the caller wins over the one of a running service, which wins over the stored secrets. The addresses
    of the stack always apply.
    """
    found = dict(line.split("=", 1) for line in shlex.split(addresses))
    path = python_path(caller.get("PYTHONPATH", ""))
    defaults = {"ENVIRONMENT": "development", **secrets}
    chosen = {name: caller.get(name) or service.get(name) or value for name, value in defaults.items()}
    rest = {name: value for name, value in caller.items() if name != "PYTHONPATH"}
    return {**service, **rest, **({"PYTHONPATH": path} if path else {}), **chosen, **found}


def _service_environment() -> dict[str, str]:
    """The environments of the running services together: each has its own secrets, and SMS_CONFIG_FILE, for example."""
    found: dict[str, str] = {}
    for variables in (orphans.environ(pid) for pid in orphans.find(MAIN_FOLDER)):
        if "INBOX_URL" in variables:  # no server has it
            found |= variables
    return {name: value for name, value in found.items() if name not in {orphans.FOLDER_VARIABLE, "PYTHONPATH"}}
