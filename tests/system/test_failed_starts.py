"""A process without a secret, or without one of its servers, ends with one line and never serves. So does a migration."""

import pytest
from stack import ports
from stack.keys import SECRETS_OF
from stack.roles.catalogue import BY_VARIABLE
from stack.system import Stack
from support.starts import failed_start

OPTIONAL = {"WORKER_TO_INBOX_TOKEN", "OPERATOR_TO_AUTH_TOKEN", "OPERATOR_TO_SMS_TOKEN", "OPERATOR_TO_CONTACTS_TOKEN"}
"""Without these a service serves, without operators and without the inbox."""
URLS = {
    "POSTGRES_URL": "postgresql://role:a-password@127.0.0.1:{}/postgres",
    "AMQP_URL": "amqp://role:a-password@127.0.0.1:{}/%2F",
    "REDIS_URL": "redis://role:a-password@127.0.0.1:{}/0",
}
SERVERS = [(process, variable) for variable, roles in BY_VARIABLE.items() for process in roles]


def required(process: str) -> set[str]:
    """The secrets without which a process does not start."""
    return set(SECRETS_OF[process]) - (OPTIONAL if process != "operator-api" else set())


@pytest.mark.parametrize("process", SECRETS_OF)
async def test_a_process_without_its_secrets_names_them_in_one_line(servers: Stack, process: str) -> None:
    kept = {name: value for name, value in servers.environ_of(process).items() if name not in required(process)}

    end = await failed_start(process, kept | {"ENVIRONMENT": "production"})

    assert end.status == 2
    assert not end.served
    (line,) = end.lines
    assert line.startswith(f"{process} cannot start: ")
    assert line.endswith("missing: a secret has no default outside development")
    assert {name for name in required(process) if name in line} == required(process)


@pytest.mark.parametrize(("process", "variable"), SERVERS)
async def test_a_process_without_the_url_of_a_server_names_its_variable(
    servers: Stack, process: str, variable: str
) -> None:
    kept = {name: value for name, value in servers.environ_of(process).items() if name != variable}

    end = await failed_start(process, kept)

    assert end.status == 2
    assert not end.served
    (line,) = end.lines
    assert line.endswith(f" cannot start: {variable} is missing")


@pytest.mark.parametrize(("process", "variable"), SERVERS)
async def test_a_process_that_reaches_no_server_names_it_in_one_line(
    servers: Stack, process: str, variable: str
) -> None:
    port = ports.free_port()
    url = URLS[variable].format(port)

    end = await failed_start(process, servers.environ_of(process) | {variable: url, "CALLER_LIMITS": "on"})

    assert end.status == 1
    assert not end.served
    (line,) = end.lines
    assert f"at 127.0.0.1:{port} after " in line
    assert line.endswith(f": start it, or set {variable}")
    assert "a-password" not in line


async def test_the_operator_api_without_operators_says_so_in_one_line(servers: Stack) -> None:
    end = await failed_start("operator-api", servers.environ_of("operator-api") | {"OPERATORS_FILE": "/nowhere"})

    assert (end.status, end.served) == (2, False)
    assert end.lines == ["operator-api cannot start: OPERATORS_FILE: No such file or directory: /nowhere"]
