"""The processes of the local stack: each has its own roles on the servers, and none has the operator's."""

from pathlib import Path

import pytest
from stack import keys, orphans
from stack.roles.catalogue import BY_VARIABLE
from stack.services import PROGRAMS
from stack.system import Stack

PROCESSES = {*PROGRAMS, *(process for roles in BY_VARIABLE.values() for process in roles)}


def secrets_of(stack: Stack) -> dict[str, str]:
    return keys.load_or_create(stack.folder.path / "secrets.env")


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_a_process_has_the_passwords_of_its_roles_and_no_other(servers: Stack, process: str) -> None:
    stored = {name: value for name, value in secrets_of(servers).items() if name.endswith("_PASSWORD")}
    own = {roles[process].password_variable for roles in BY_VARIABLE.values() if process in roles}
    environ = servers.environ_of(process)

    assert {name for name, value in stored.items() if any(value in text for text in environ.values())} == own
    assert {name for name in BY_VARIABLE if name in environ} == {
        variable for variable, roles in BY_VARIABLE.items() if process in roles
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_running_process_has_the_environment_of_its_role(system: Stack, name: str) -> None:
    entries = Path(f"/proc/{system.services[name].pid}/environ").read_bytes().decode().split("\0")
    running = dict(entry.split("=", 1) for entry in entries if entry)

    assert {key: running.get(key) for key in BY_VARIABLE} == {
        key: system.environ_of(name).get(key) for key in BY_VARIABLE
    }


def test_no_secret_is_in_a_command_line(system: Stack) -> None:
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in orphans.find(system.folder.path)]

    assert any("valkey-server" in line for line in lines)
    assert any("postgres" in line for line in lines)
    assert [name for name, value in secrets_of(system).items() if any(value in line for line in lines)] == []
