"""The containers: nothing forgotten, nothing handed out needlessly, everything that scales free to scale."""

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from architecture.tree import PACKAGES, ROOT, SERVICES
from container import health, launch
from ruamel.yaml import YAML

from shared.keys import development_secret
from shared.process.settings import Settings

COMPOSE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / "deploy" / "example.env"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
PUBLISHED = {"gateway", "inbox"}
SECRETS = (
    "SERVICE_TOKEN",
    "PHONE_KEY",
    "TICKET_KEYS",
    "CODE_KEYS",
    "PASSWORD_PEPPERS",
    "SEALED_NUMBER_KEYS",
    "JWT_KEYS",
)


@cache
def composed() -> dict[str, dict[str, Any]]:
    """The containers by name, anchors resolved, variables not."""
    return YAML(typ="safe").load(COMPOSE)["services"]


@cache
def ours() -> dict[str, str]:
    """Our own containers: name to the service whose image they run."""
    return {name: spec["build"]["args"]["SERVICE"] for name, spec in composed().items() if "build" in spec}


@cache
def example() -> dict[str, str]:
    """What example.env sets."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if re.match(r"[A-Z_]+=", line)]
    return dict(line.split("=", 1) for line in lines)


def models(service: str) -> list[type[Settings]]:
    """A service's settings models."""
    module = importlib.import_module(f"{PACKAGES[service]}.settings")
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Settings)]
    return [each for each in found if each is not Settings]


def variables(service: str) -> set[str]:
    """Every variable that a process of this service knows."""
    return {field.upper() for model in models(service) for field in model.model_fields}


def test_every_service_is_composed_and_named_in_the_dockerfile() -> None:
    assert set(SERVICES) == set(ours().values())
    assert {"gateway", "auth-service", "sms-service", "sms-worker", "contacts-service"} <= ours().keys()
    assert [service for service in SERVICES if service not in DOCKERFILE] == []


def test_a_migration_is_given_no_key() -> None:
    for name in ("auth-migrate", "sms-migrate", "contacts-migrate"):
        assert set(composed()[name]["environment"]) == {"ENVIRONMENT", "LOG_LEVEL", "SERVICE_TOKEN", "POSTGRES_URL"}


def test_every_service_with_a_database_migrates_it_before_it_starts() -> None:
    for service in SERVICES:
        if (ROOT / service / "src" / PACKAGES[service] / "migrations").is_dir():
            job = service.replace("-service", "-migrate")
            assert ours()[job] == service
            assert composed()[job]["command"] == ["migrate"]
            assert composed()[service]["depends_on"][job] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", ours())
def test_a_container_is_told_only_what_its_process_asks_for(name: str) -> None:
    assert set(composed()[name]["environment"]) - variables(ours()[name]) == set()


@pytest.mark.parametrize("name", ours())
def test_a_container_is_told_what_its_process_cannot_do_without(name: str) -> None:
    migrates = composed()[name].get("command") == ["migrate"]
    read = [model for model in models(ours()[name]) if (model.__name__ == "DatabaseSettings") == migrates]
    needed = {field.upper() for model in read for field, of in model.model_fields.items() if of.is_required()}
    assert needed - composed()[name]["environment"].keys() == set()


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_explained_in_the_example(service: str) -> None:
    explained = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    assert variables(service) - explained == set()


def test_the_example_sets_everything_that_compose_insists_on() -> None:
    insisted = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE.read_text()))
    assert insisted == {name for name in insisted if example().get(name)}


@pytest.mark.parametrize("name", SECRETS)
def test_the_secrets_of_the_example_are_those_that_production_refuses(name: str) -> None:
    assert example()[name].removeprefix("1:") == development_secret(name.lower())


@pytest.mark.parametrize("name", composed())
def test_a_container_can_be_started_many_times_and_can_do_little(name: str) -> None:
    spec = composed()[name]
    assert "container_name" not in spec
    assert name in PUBLISHED or "ports" not in spec
    assert all(port.startswith("127.0.0.1:") for port in spec.get("ports", []))
    assert spec["read_only"] is True
    assert spec["cap_drop"] == ["ALL"]
    assert spec["security_opt"] == ["no-new-privileges:true"]
    assert not spec["image"].endswith(":latest")


@pytest.mark.parametrize("service", SERVICES)
def test_the_health_check_knows_the_port_of_a_service(service: str) -> None:
    ports = {
        field.upper(): of.default
        for model in models(service)
        for field, of in model.model_fields.items()
        if field.endswith("_port")
    }
    known = {variable: port for variable, port in health.PORTS.values() if variable in ports}
    assert known == ports


def test_an_image_runs_without_a_shell_as_an_ordinary_user() -> None:
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
def test_a_container_starts_with_the_best_build_of_argon2_that_its_cpu_can_run(
    tmp_path: Path, info: str, chosen: str | None
) -> None:
    for build in launch.FASTEST_FIRST:
        (tmp_path / build).mkdir()
    assert launch.fastest(tmp_path, launch.cpu_flags(info)) == (tmp_path / chosen if chosen else None)


def test_an_image_without_builds_of_argon2_starts_with_the_wheel(tmp_path: Path) -> None:
    assert launch.fastest(tmp_path, frozenset(launch.FASTEST_FIRST)) is None
