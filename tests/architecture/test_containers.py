"""The containers: complete, with no setting or right that their process does not need, and free to scale."""

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from architecture.tree import PACKAGES, ROOT, SERVICES
from container import health, launch
from ruamel.yaml import YAML
from stack.keys import PASSWORDS, SECRETS_OF
from stack.roles.catalogue import BY_VARIABLE, FOLDER, OPERATOR, Role
from stack.secret_files import GRAFANA, urls, write_missing

from shared.process.environment.secret_strength import weaknesses
from shared.process.settings import Settings

COMPOSE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / "deploy" / "example.env"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
SERVER_SETTINGS = {
    "gateway": "GatewaySettings",
    "auth-service": "AuthSettings",
    "sms-service": "SmsSettings",
    "contacts-service": "ContactsSettings",
}
OTHER_SETTINGS = {
    "migrate": "DatabaseSettings",
    "worker": "WorkerSettings",
    "operator-api": "OperatorApiSettings",
    "operate": "OperateSettings",
}
SERVER_URLS = ("POSTGRES_URL", "REDIS_URL", "AMQP_URL")
PUBLISHED = {"edge", "inbox", "operator-api", "prometheus", "grafana"}
ON_THIS_MACHINE = ("127.0.0.1:", "${EDGE_ADDRESS:-127.0.0.1}:")
FILES = "/run/secrets/"
SHARED_OUTSIDE = {"USER_SOURCE_SECRET"}
"""Secrets that an operator shares with a server that is not ours: nothing of ours makes them."""


@cache
def composed() -> dict[str, dict[str, Any]]:
    """The containers by name, with anchors resolved and variables as they are."""
    return YAML(typ="safe").load(COMPOSE)["services"]


@cache
def compose_secrets() -> dict[str, dict[str, str]]:
    """The files with secrets, by name."""
    return YAML(typ="safe").load(COMPOSE)["secrets"]


@cache
def ours() -> dict[str, str]:
    """Our own containers by name, with the service whose image they run."""
    return {name: spec["build"]["args"]["SERVICE"] for name, spec in composed().items() if "build" in spec}


def secret_files(name: str) -> dict[str, str]:
    """The secrets of a container: its variables, and the files that they name."""
    environment = composed()[name].get("environment", {})
    return {
        variable.removesuffix("_FILE").rstrip("_"): file.removeprefix(FILES)
        for variable, file in environment.items()
        if str(file).startswith(FILES)
    }


def given(name: str) -> set[str]:
    """The variables that a container gets, by value or by file."""
    named = {f"{variable}_FILE" for variable in secret_files(name)}
    return set(composed()[name]["environment"]) - named | set(secret_files(name))


def models(service: str) -> list[type[Settings]]:
    """A service's settings models."""
    module = importlib.import_module(f"{PACKAGES[service]}.settings")
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Settings)]
    return [each for each in found if each is not Settings]


def variables(service: str) -> set[str]:
    """Every variable that a process of this service reads."""
    return {field.upper() for model in models(service) for field in model.model_fields}


def read_by(name: str) -> type[Settings]:
    """The settings of the process in a container."""
    spec = composed()[name]
    command = spec.get("command", spec.get("entrypoint", [""])[-1:])[0]
    model = OTHER_SETTINGS.get(command, SERVER_SETTINGS[ours()[name]])
    return next(each for each in models(ours()[name]) if each.__name__ == model)


def test_compose_runs_every_service_and_the_dockerfile_names_it() -> None:
    assert set(SERVICES) == set(ours().values())
    assert {"gateway", "auth-service", "sms-service", "sms-worker", "contacts-service", "operator-api"} <= ours().keys()
    assert [service for service in SERVICES if service not in DOCKERFILE] == []


def test_a_migration_gets_no_key() -> None:
    for name in ("auth-migrate", "sms-migrate", "contacts-migrate"):
        assert given(name) == {"ENVIRONMENT", "LOG_LEVEL", "POSTGRES_URL"}


def test_a_service_with_a_database_starts_after_its_migration() -> None:
    for service in SERVICES:
        if (ROOT / service / "src" / PACKAGES[service] / "migrations").is_dir():
            job = service.replace("-service", "-migrate")
            assert ours()[job] == service
            assert composed()[job]["command"] == ["migrate"]
            assert composed()[service]["depends_on"][job] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", ours())
def test_a_container_gets_only_variables_that_its_process_reads(name: str) -> None:
    assert given(name) - {field.upper() for field in read_by(name).model_fields} == set()


@pytest.mark.parametrize("name", ours())
def test_a_container_gets_every_variable_that_its_process_requires(name: str) -> None:
    required = {field.upper() for field, of in read_by(name).model_fields.items() if of.is_required()}
    assert required - given(name) == set()


@pytest.mark.parametrize("name", SECRETS_OF)
def test_a_process_of_the_local_stack_gets_the_secrets_that_it_reads_and_no_other(name: str) -> None:
    read = {field.upper() for field, of in read_by(name).model_fields.items() if "SecretStr" in str(of.annotation)}
    assert set(SECRETS_OF[name]) == read - SHARED_OUTSIDE


def test_contacts_service_has_no_key_that_opens_anything() -> None:
    urls = {"POSTGRES_URL", "AMQP_URL", "REDIS_URL"}
    keys = {"PHONE_KEY", "GATEWAY_TO_CONTACTS_TOKEN", "CONTACTS_TO_AUTH_TOKEN", "OPERATOR_TO_CONTACTS_TOKEN"}
    assert secret_files("contacts-service").keys() == keys | urls


@pytest.mark.parametrize("service", SERVICES)
def test_the_example_explains_every_variable(service: str) -> None:
    explained = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    assert variables(service) - explained == set()


def test_the_example_explains_every_variable_of_compose() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text()))
    explained = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    assert used - explained == set()


def test_the_example_sets_no_secret() -> None:
    assert re.findall(r"^[A-Z_]*(?:PASSWORD|TOKEN|KEY|KEYS|PEPPERS|URL)=.*", EXAMPLE.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("name", composed())
def test_a_secret_comes_from_a_file_and_no_container_can_read_another_one(name: str) -> None:
    environment = composed()[name].get("environment", {})
    private = re.compile(r"(PASSWORD|TOKEN|KEYS?|PEPPERS|_URL)(__?FILE)?$")
    values = {variable for variable, value in environment.items() if private.search(variable) and value is not None}

    assert {
        each
        for each in values
        if not each.endswith(("_FILE", "AUTH_URL", "SMS_URL", "CONTACTS_URL", "INBOX_URL", "OPERATOR_URL"))
    } == set()
    assert set(composed()[name].get("secrets", [])) == set(secret_files(name).values())
    assert set(secret_files(name).values()) <= compose_secrets().keys()


def test_the_secret_files_are_those_that_make_secrets_writes(tmp_path: Path) -> None:
    made = set(write_missing(tmp_path / "secrets"))
    assert compose_secrets() == {name: {"file": f"${{SECRETS_FOLDER:-./secrets}}/{name}"} for name in made}


def test_production_starts_with_the_secrets_that_make_secrets_writes(tmp_path: Path) -> None:
    write_missing(tmp_path)
    for name in ours():
        read = {variable: (tmp_path / file).read_text() for variable, file in secret_files(name).items()}
        secrets = {variable: read[variable] for variable in read if not variable.endswith("_URL")}
        urls = {variable: read[variable] for variable in read if variable.endswith("_URL")}
        assert weaknesses(secrets, urls) == []


@pytest.mark.parametrize("name", composed())
def test_a_container_can_scale_and_has_few_rights(name: str) -> None:
    spec = composed()[name]
    assert "container_name" not in spec
    assert name in PUBLISHED or "ports" not in spec
    assert all(port.startswith(ON_THIS_MACHINE) for port in spec.get("ports", []))
    assert spec["read_only"] is True
    assert spec["cap_drop"] == ["ALL"]
    assert "cap_add" not in spec or (name, spec["cap_add"]) == ("edge", ["NET_BIND_SERVICE"])
    assert {"cpus", "memory", "pids"} == spec["deploy"]["resources"]["limits"].keys()
    assert spec["security_opt"] == ["no-new-privileges:true"]
    assert not spec["image"].endswith(":latest")


def test_a_look_up_of_the_gateways_that_stalls_ends_before_the_client_gives_up() -> None:
    options = dict(each.split(":") for each in composed()["edge"]["dns_opt"])
    assert int(options["timeout"]) * int(options["attempts"]) <= 2


def test_the_page_on_key_rotation_names_every_secret() -> None:
    page = (ROOT / "docs" / "security" / "key-rotation.md").read_text()
    secrets = {name for service in SERVICES for model in models(service) for name in model.file_variables()}
    assert {name for name in secrets if f"`{name}`" not in page} == set()


def test_no_monitoring_port_is_published() -> None:
    monitored = {str(port) for _, port in health.PORTS.values()}
    published = {port.rpartition(":")[2] for spec in composed().values() for port in spec.get("ports", [])}
    assert published & monitored == set()


OPERATORS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "AMQP_PASSWORD"}
"""The passwords of roles that may do everything on a server."""


def used_passwords(name: str) -> set[str]:
    """The passwords that a container gets, by themselves or as a part of a URL."""
    files = set(secret_files(name).values())
    from_urls = {password for url, (_, password) in urls(dict.fromkeys(PASSWORDS, "x")).items() if url.lower() in files}
    return {file.upper() for file in files if file.endswith("_password")} - {GRAFANA} | from_urls


@pytest.mark.parametrize("name", ours())
def test_a_container_of_ours_has_the_role_of_its_process_on_each_server(name: str) -> None:
    process = name.replace("-migrate", "-service-migrate").replace("inbox", "sms-service")
    roles = {variable: roles[process] for variable, roles in BY_VARIABLE.items() if process in roles}
    if name == "republish":  # an operator's command: the database as auth-service, RabbitMQ as the operator
        roles = {
            "POSTGRES_URL": BY_VARIABLE["POSTGRES_URL"]["auth-service"],
            "AMQP_URL": Role(OPERATOR, "AMQP_PASSWORD"),
        }
    given_urls = {variable: file for variable, file in secret_files(name).items() if variable in SERVER_URLS}
    passwords = dict.fromkeys(PASSWORDS, "secret")

    assert given_urls.keys() == roles.keys()
    for variable, role in roles.items():
        parts = urlsplit(urls(passwords)[given_urls[variable].upper()][0])
        assert (parts.username, parts.password) == (role.user, "secret")
        assert parts.path.strip("/") == (role.database or {"AMQP_URL": "%2F", "REDIS_URL": "0"}[variable])


def test_the_operators_passwords_are_on_their_servers_only() -> None:
    holders = {password: {name for name in composed() if password in used_passwords(name)} for password in OPERATORS}

    assert holders == {
        "POSTGRES_PASSWORD": {"postgres", "postgres-roles"},
        "REDIS_PASSWORD": {"valkey"},
        "AMQP_PASSWORD": {"rabbitmq", "republish"},
    }


def test_each_server_gets_the_passwords_of_its_roles() -> None:
    files = {"postgres-roles": "postgres.psql", "valkey": "valkey.acl", "rabbitmq": "rabbitmq.json"}
    own = {"postgres-roles": "POSTGRES_PASSWORD", "valkey": "REDIS_PASSWORD", "rabbitmq": "AMQP_PASSWORD"}
    servers = {"postgres-roles": "POSTGRES_URL", "valkey": "REDIS_URL", "rabbitmq": "AMQP_URL"}
    for name, file in files.items():
        wanted = {role.password_variable for role in BY_VARIABLE[servers[name]].values()}
        text = (FOLDER / file).read_text()
        assert wanted == set(re.findall(r"@?([A-Z_]+_PASSWORD)@?", text)) - {own[name]}
        assert used_passwords(name) == wanted | {own[name]}
        users = {role.user for role in BY_VARIABLE[servers[name]].values()}
        assert users == {user for user in users if user in text}


@pytest.mark.parametrize("name", composed())
def test_no_password_is_part_of_a_command_line(name: str) -> None:
    spec = composed()[name]
    words = [spec.get("command"), spec.get("entrypoint"), spec.get("healthcheck", {}).get("test")]
    assert re.findall(r"\$\{?[A-Z_]*(?:PASSWORD|URL|KEY|TOKEN)", str(words)) == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_health_check_uses_the_monitoring_port_of_the_service(service: str) -> None:
    ports = {
        field.upper(): of.default
        for model in models(service)
        for field, of in model.model_fields.items()
        if field.endswith("_monitoring_port")
    }
    checked = {variable: port for variable, port in health.PORTS.values() if variable in ports}
    assert checked == ports


def test_a_name_server_that_does_not_answer_is_asked_again_soon() -> None:
    assert '\nENV RES_OPTIONS="timeout:1 attempts:2"\n' in DOCKERFILE


def test_an_image_runs_as_an_ordinary_user_without_a_shell() -> None:
    assert 'ENTRYPOINT ["' in DOCKERFILE
    assert re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^ARG PYTHON=3\.11\.[0-9]+-slim", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize(
    ("info", "chosen"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512f\n", "avx512f"),
        ("flags\t\t: fpu sse2 avx2\nflags\t\t: fpu\n", "avx2"),
        ("flags\t\t: fpu sse2\n", None),
        ("CPU architecture: 8\nFeatures\t: asimd\n", None),
    ],
    ids=["AVX-512", "AVX2", "an old CPU", "ARM"],
)
def test_a_container_starts_with_the_fastest_argon2_that_its_cpu_can_run(
    tmp_path: Path, info: str, chosen: str | None
) -> None:
    for build in launch.FASTEST_FIRST:
        (tmp_path / build).mkdir()
    assert launch.fastest(tmp_path, launch.cpu_flags(info)) == (tmp_path / chosen if chosen else None)


def test_an_image_without_compiled_builds_starts_with_the_wheel_of_argon2(tmp_path: Path) -> None:
    assert launch.fastest(tmp_path, frozenset(launch.FASTEST_FIRST)) is None


@pytest.mark.parametrize("service", SERVICES)
def test_the_role_of_a_service_in_valkey_has_the_commands_of_its_scripts(service: str) -> None:
    scripts = [path.read_text() for path in (ROOT / service).rglob("src/**/*.lua")]
    used = {command.lower() for text in scripts for command in re.findall(r"redis\.call\([\"'](\w+)[\"']", text)}
    lines = [line.split() for line in (FOLDER / "valkey.acl").read_text().splitlines()]
    granted = next(
        ({word[1:] for word in line if word[0] == "+"} for line in lines if line[1] == PACKAGES[service]), set()
    )

    assert bool(used) is (service in BY_VARIABLE["REDIS_URL"])
    of_clients = {"ping", "client|setinfo", "script|load", "evalsha", "cluster|slots", "command"}
    assert granted - used == (of_clients if used else set())
    assert used <= granted


@pytest.mark.parametrize(
    ("service", "command", "process"),
    [
        ("sms-service", b"/init\0--\0python\0/app/launch.py\0worker\0", "sms-worker"),
        ("sms-service", b"python\0/app/launch.py\0", "sms-service"),
        ("gateway", b"python\0/app/launch.py\0", "gateway"),
        ("gateway", b"python\0/app/launch.py\0operator-api\0", "operator-api"),
        ("contacts-service", b"python\0/app/launch.py\0", "contacts-service"),
    ],
)
def test_the_health_check_of_an_image_finds_out_which_process_the_container_runs(
    service: str, command: bytes, process: str
) -> None:
    assert health.process(service, command) == process
