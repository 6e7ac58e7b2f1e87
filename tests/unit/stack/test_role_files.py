"""``fill.sh``, with which the containers and the local stack write the passwords of roles into files."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from stack.roles import files
from stack.roles.catalogue import BY_VARIABLE, FOLDER, Passwords, password_variables

from contacts_service.consumer import QUEUE as DIRECTORY
from shared.amqp import Queue
from shared.events.catalogue import EVENTS
from sms_service.delivery.consumer import SEND_COMMANDS
from sms_service.erasure.consumer import QUEUE as ERASURE


def run(template: Path, target: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", str(FOLDER / "fill.sh"), str(template), str(target), *command]
    env = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)


def test_each_name_is_replaced_by_its_variable_and_nothing_else_changes(tmp_path: Path) -> None:
    template, target = tmp_path / "template", tmp_path / "target"
    template.write_text('user a >@A_PASSWORD@ ~{x:* $HOME `id` "^a[.]b$" \\\nuser b >@B_PASSWORD@ @A_PASSWORD@ @\n')

    done = run(template, target, A_PASSWORD="one-1", B_PASSWORD="two_2")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert target.read_text() == 'user a >one-1 ~{x:* $HOME `id` "^a[.]b$" \\\nuser b >two_2 one-1 @\n'
    assert target.stat().st_mode & 0o777 == 0o600


def test_the_command_runs_afterwards_without_the_passwords(tmp_path: Path) -> None:
    template, target = tmp_path / "template", tmp_path / "target"
    template.write_text("@A_PASSWORD@\n")

    done = run(template, target, "sh", "-c", f"cat '{target}'; env; umask", A_PASSWORD="one", OTHER="kept")

    assert done.stdout.startswith("one\n")
    assert "OTHER=kept" in done.stdout
    assert "A_PASSWORD" not in done.stdout
    assert "0077" not in done.stdout


@pytest.mark.parametrize("password", ["", "two words", 'quoted"', "a@b", "nopass\nuser default on", "x$(id)"])
def test_a_password_that_could_be_more_than_one_is_refused(password: str, tmp_path: Path) -> None:
    template, target = tmp_path / "template", tmp_path / "target"
    template.write_text("user a >@A_PASSWORD@\n")

    done = run(template, target, "echo", "started", A_PASSWORD=password)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "A_PASSWORD: expected a password of letters and digits\n"
    assert not target.exists()


@pytest.mark.parametrize(("name", "variable"), [("valkey.acl", "REDIS_URL"), ("rabbitmq.json", "AMQP_URL")])
def test_every_role_of_a_server_is_in_its_file(name: str, variable: str, tmp_path: Path) -> None:
    passwords = Passwords(variable, {}).by_variable
    operators = {variable.replace("_URL", "_PASSWORD"): "the-operators"}

    files.fill(name, tmp_path / name, passwords | operators)

    text = (tmp_path / name).read_text()
    assert "PASSWORD" not in text
    assert all(password in text for password in [*passwords.values(), *operators.values()])
    assert all(role.user in text for role in BY_VARIABLE[variable].values())


def test_each_role_has_a_password_of_its_own() -> None:
    generated = [Passwords(variable, {}).by_variable for variable in BY_VARIABLE]

    assert sorted(name for by_variable in generated for name in by_variable) == password_variables()
    assert len({password for by_variable in generated for password in by_variable.values()}) == len(
        password_variables()
    )
    chosen = Passwords("REDIS_URL", {"SMS_REDIS_PASSWORD": "chosen", "POSTGRES_PASSWORD": "other"})
    assert chosen.by_variable["SMS_REDIS_PASSWORD"] == "chosen"
    assert "POSTGRES_PASSWORD" not in chosen.by_variable
    assert chosen.role("gateway") is None


@pytest.mark.parametrize(
    ("user", "queue"),
    [("contacts_service", DIRECTORY), ("sms_service", ERASURE), ("sms_service", SEND_COMMANDS)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_consumer_may_bind_to_every_event_that_it_handles_and_to_no_other(user: str, queue: Queue) -> None:
    definitions = json.loads((FOLDER / "rabbitmq.json").read_text())
    (pattern,) = (
        permission["read"]
        for permission in definitions["topic_permissions"]
        if (permission["user"], permission["exchange"]) == (user, "events")
    )
    readable = {event.key for event in EVENTS if re.search(pattern, event.key)}

    assert set(queue.keys) <= readable
    if queue.keys:
        assert readable == set(queue.keys)


@pytest.mark.parametrize(("refused", "status", "printed"), [(2, 0, "ran"), (10**6, 1, "")], ids=["late", "never"])
def test_the_roles_are_made_when_the_server_accepts_connections(
    tmp_path: Path, refused: int, status: int, printed: str
) -> None:
    """A pg_isready that fails so many times stands for a server that starts."""
    ready, count = tmp_path / "pg_isready", tmp_path / "count"
    ready.write_text(f'#!/bin/bash\necho >>"{count}"\n[ "$(wc -l <"{count}")" -gt {refused} ]\n')
    ready.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PGHOST": "postgres", "WAIT_SECONDS": "2"}

    done = subprocess.run(
        ["bash", str(FOLDER / "with_postgres.sh"), "echo", "ran"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.strip()) == (status, printed)
    assert done.stderr == ("" if printed else "cannot reach PostgreSQL at postgres after 2 s\n")
