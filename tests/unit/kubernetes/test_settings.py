"""The settings and secrets of each pod: complete, with none that its process does not read, and good enough to start."""

import re
import secrets
from pathlib import Path

import certifi
import pytest
from stack.keys import RINGS, SECRETS_OF
from stack.roles.catalogue import BY_VARIABLE
from support.kubernetes import PRODUCTION, container, of_kind, pod, secret_keys, settings_of, variables_in

from auth_service import settings as auth
from contacts_service import settings as contacts
from gateway.named_operators import Role, generate, parse_operators
from gateway.settings import GatewaySettings, OperatorApiSettings
from shared.process.settings import Settings
from sms_service import settings as sms

MODELS: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "auth-service": auth.AuthSettings,
    "sms-service": sms.SmsSettings,
    "sms-worker": sms.WorkerSettings,
    "contacts-service": contacts.ContactsSettings,
    "operator-api": OperatorApiSettings,
    "auth-migrate": auth.DatabaseSettings,
    "sms-migrate": sms.DatabaseSettings,
    "contacts-migrate": contacts.DatabaseSettings,
}
PODS = pytest.mark.parametrize("name", MODELS)
MOUNTED = "/run/secrets/haoma/"
SENDERS = "/run/secrets/senders/"
FILE = "_FILE"
AUTHORITY = "/run/secrets/postgresql/ca.crt"
"""Mounted beside the secrets; here any certificate authorities take its place."""


def in_files(name: str, folder: str = MOUNTED) -> set[str]:
    """The variables whose values a pod gets in files of a folder."""
    return {key.removesuffix(FILE) for key, value in settings_of(name).items() if value.startswith(folder)}


def in_clear(name: str) -> set[str]:
    files = in_files(name) | in_files(name, SENDERS)
    return {key for key in settings_of(name) if key.removesuffix(FILE) not in files}


def process_of(name: str) -> str:
    """The process as the roles name it."""
    return name.replace("-migrate", "-service-migrate")


@PODS
def test_a_pod_gets_only_variables_that_its_process_reads(name: str) -> None:
    read = {field.upper() for field in MODELS[name].model_fields}
    assert (in_clear(name) | in_files(name)) - read == set()


@PODS
def test_a_pod_gets_every_variable_that_its_process_requires(name: str) -> None:
    required = {field.upper() for field, of in MODELS[name].model_fields.items() if of.is_required()}
    assert required - in_clear(name) - in_files(name) == set()


@PODS
def test_no_secret_is_in_an_environment(name: str) -> None:
    assert set(MODELS[name].file_variables()) & in_clear(name) == set()
    assert not container(name).get("env")


@PODS
def test_a_pod_mounts_the_secret_of_its_own_process_and_no_other(name: str) -> None:
    mounted = {volume["name"]: volume["secret"]["secretName"] for volume in pod(name)["volumes"] if "secret" in volume}
    assert mounted.pop("secrets") == name
    assert mounted.pop("senders", "senders") == "senders"
    assert mounted in ({}, {"postgresql-authority": "postgres-ca"})


@PODS
def test_a_secret_has_the_files_that_the_settings_name(name: str) -> None:
    passwords = {role[process_of(name)].password_variable for role in BY_VARIABLE.values() if process_of(name) in role}
    assert secret_keys(name) - passwords == in_files(name)


@pytest.mark.parametrize("name", SECRETS_OF)
def test_a_secret_has_what_its_process_reads_in_the_local_stack_too(name: str) -> None:
    assert set(SECRETS_OF[name]) - {"WORKER_TO_INBOX_TOKEN"} == in_files(name) - BY_VARIABLE.keys()


@PODS
def test_a_url_has_the_role_of_the_process(name: str) -> None:
    template = of_kind("ExternalSecret")[name]["spec"]["target"].get("template", {}).get("data", {})
    roles = {variable: roles[process_of(name)] for variable, roles in BY_VARIABLE.items() if process_of(name) in roles}

    assert template.keys() == roles.keys()
    for variable, role in roles.items():
        assert re.match(rf"[a-z+]+://{role.user}:", template[variable])
        assert variables_in(template[variable]) == {role.password_variable}
        assert role.database in template[variable]


@PODS
def test_a_file_of_secrets_is_readable_by_our_user_alone(name: str) -> None:
    volumes = [volume["secret"] for volume in pod(name)["volumes"] if "secret" in volume]
    assert {volume["defaultMode"] for volume in volumes} == {0o440}


def value_of(variable: str) -> str:
    """A random value of a secret, as an operator makes it."""
    return f"1:{secrets.token_hex(32)}" if variable.endswith(RINGS) else secrets.token_hex(32)


@PODS
def test_a_process_starts_with_the_settings_of_the_overlay(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = of_kind("ExternalSecret")[name]["spec"]["target"].get("template", {}).get("data", {})
    environ = settings_of(name)
    for variable in in_files(name) | in_files(name, SENDERS):
        text = re.sub(r"\{\{ \.\w+ \}\}", lambda _: secrets.token_hex(16), template.get(variable, value_of(variable)))
        (tmp_path / variable).write_text(text.replace(AUTHORITY, certifi.where()))
        environ = environ | {variable + FILE: str(tmp_path / variable)}
    if "SMS_CONFIG_FILE" in environ:
        environ = environ | {"SMS_CONFIG_FILE": str(PRODUCTION / "routes.toml")}
    if "OPERATORS_FILE" in environ:
        (tmp_path / "operators.toml").write_text(generate("ada", Role.OPERATOR)[1])
        environ = environ | {"OPERATORS_FILE": str(tmp_path / "operators.toml")}
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)  # the file of senders is read with the environment of the process

    settings = MODELS[name].from_env(environ)

    assert settings.is_production


def test_the_operator_of_the_example_has_no_key() -> None:
    with pytest.raises(ValueError, match="ada: key_sha256 is no digest of a key"):
        parse_operators((PRODUCTION / "operators.toml").read_text())
