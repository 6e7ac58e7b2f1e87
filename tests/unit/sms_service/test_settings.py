"""Settings that stop the start, and the line that says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.process.settings import load
from sms_service.settings import DatabaseSettings, ExplainSettings, SmsSettings

SERVERS = {"POSTGRES_URL": "postgresql://db", "REDIS_URL": "redis://cache", "AMQP_URL": "amqp://broker"}
SECRETS = {
    "SERVICE_TOKEN": "ab" * 32,
    "TICKET_KEYS": "1:" + "cd" * 32,
    "CODE_KEYS": "1:" + "ef" * 32,
    "PHONE_KEY": "01" * 32,
    "AUDIT_KEYS": "1:" + "23" * 32,
}


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Load invalid settings from the test's own environment, and return the error text."""
    for name in SmsSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def refusal(**environ: str) -> str:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit):
            load(SmsSettings, "sms-service")
        return capsys.readouterr().err

    return refusal


def test_development_needs_only_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SERVERS | {"ENVIRONMENT": "development", "SMS_PORT": "9000"}).items():
        monkeypatch.setenv(name, value)
    settings = load(SmsSettings, "sms-service")
    assert settings.inbox_address == "http://127.0.0.1:9000"
    assert settings.model_copy(update={"inbox_url": "http://sms:8082/"}).inbox_address == "http://sms:8082"
    assert SECRETS["CODE_KEYS"] not in repr(settings)


def test_the_operator_token_differs_from_the_service_token_and_is_long(refusal) -> None:
    environ = SERVERS | SECRETS | {"ENVIRONMENT": "development"}
    assert "OPERATOR_TOKEN is the same as SERVICE_TOKEN" in refusal(**environ, OPERATOR_TOKEN=SECRETS["SERVICE_TOKEN"])
    error = refusal(**environ, OPERATOR_TOKEN="short-and-secret")
    assert error.startswith("sms-service cannot start: OPERATOR_TOKEN: ")
    assert "short-and-secret" not in error


def test_explain_needs_the_phone_key_and_no_key_that_makes_codes() -> None:
    secrets = {name.upper() for name, field in ExplainSettings.model_fields.items() if field.annotation is SecretStr}
    assert secrets == {"SERVICE_TOKEN", "PHONE_KEY"}


@pytest.mark.parametrize("name", SERVERS)
def test_a_missing_server_is_named(refusal, name: str) -> None:
    left = {key: value for key, value in SERVERS.items() if key != name}
    assert refusal(ENVIRONMENT="development", **left) == f"sms-service cannot start: {name} is missing\n"


@pytest.mark.parametrize("name", SERVERS)
def test_an_address_of_another_kind_of_server_is_named(refusal, name: str) -> None:
    error = refusal(**(SERVERS | {"ENVIRONMENT": "development", name: "http://elsewhere"}))
    assert error.startswith(f"sms-service cannot start: {name}: expected ")


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_is_named_in_production(refusal, name: str) -> None:
    left = {key: value for key, value in SECRETS.items() if key != name}
    assert f"cannot start: {name} is missing" in refusal(**SERVERS, **left)


@pytest.mark.parametrize("name", ["CODE_KEYS", "TICKET_KEYS", "PHONE_KEY"])
def test_a_malformed_secret_is_named_and_not_shown(refusal, name: str) -> None:
    error = refusal(**(SERVERS | SECRETS | {"ENVIRONMENT": "development", name: "no-key-at-all"}))
    assert error.startswith(f"sms-service cannot start: {name}: ")
    assert "no-key-at-all" not in error


def test_production_needs_a_settings_file_of_senders(refusal) -> None:
    assert "cannot start: SMS_CONFIG_FILE is missing" in refusal(**SERVERS, **SECRETS)
    assert "cannot start: SMS_CONFIG_FILE is missing" in refusal(**SERVERS, **SECRETS, SMS_CONFIG_FILE="")


def test_callers_are_always_limited_in_production(refusal, tmp_path: Path) -> None:
    environ = SERVERS | SECRETS | {"SMS_CONFIG_FILE": str(a_file(tmp_path)), "OWN_SECRET": "23" * 32}
    assert "cannot start: CALLER_LIMITS is off" in refusal(**environ, CALLER_LIMITS="off")


@pytest.mark.parametrize(("switch", "value"), [("MASTER_CODE", "909"), ("REVEAL_CODES", "1")])
def test_switches_for_development_are_refused_in_production(refusal, tmp_path: Path, switch: str, value: str) -> None:
    environ = SERVERS | SECRETS | {"SMS_CONFIG_FILE": str(a_file(tmp_path)), "OWN_SECRET": "23" * 32}
    assert f"cannot start: {switch} is a switch for development" in refusal(**environ, **{switch: value})


def test_a_broken_settings_file_of_senders_is_named_with_its_line(refusal, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[senders.pigeon]\ntype = "inbox"\ncolour = "grey"\n')
    error = refusal(**SERVERS, **SECRETS, SMS_CONFIG_FILE=str(file), ENVIRONMENT="development")
    assert error.startswith(f"sms-service cannot start: SMS_CONFIG_FILE: {file}: line 3: senders.pigeon.colour: ")


def test_a_file_of_senders_is_read_and_the_inbox_stays_out_of_production(refusal, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[senders.inbox]\ntype = "inbox"\n[[routes]]\nprefix = "+"\nsenders = ["inbox"]\n')
    error = refusal(**SERVERS, **SECRETS, SMS_CONFIG_FILE=str(file))
    assert f"{file}: line 1: senders.inbox: an inbox is for development" in error


PRODUCTION = SERVERS | SECRETS | {"OWN_SECRET": "23" * 32}


def test_production_needs_limits_on_spending_or_a_word_that_there_are_none(refusal, tmp_path: Path) -> None:
    file = a_file(tmp_path)

    assert refusal(**PRODUCTION, SMS_CONFIG_FILE=str(file)) == (
        f"sms-service cannot start: SMS_CONFIG_FILE: {file}: nothing limits what is spent: add [spending] and budgets, "
        'or write spending = "none"\n'
    )


@pytest.mark.parametrize("spending", ['spending = "none"', 'spending = { currency = "CNY" }'])
def test_production_starts_when_spending_is_decided(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spending: str
) -> None:
    for name, value in (PRODUCTION | {"SMS_CONFIG_FILE": str(a_file(tmp_path, spending))}).items():
        monkeypatch.setenv(name, value)

    assert (load(SmsSettings, "sms-service").sms_config.plan is None) is ("none" in spending)


def test_development_needs_no_limits_on_spending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ = PRODUCTION | {"SMS_CONFIG_FILE": str(a_file(tmp_path)), "ENVIRONMENT": "development"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert load(SmsSettings, "sms-service").sms_config.plan is None


def a_file(folder: Path, first_line: str = "") -> Path:
    file = folder / "routes.toml"
    sender = '[senders.own]\ntype = "webhook"\nurl = "https://sms.example.com"\nsecret_env = "OWN_SECRET"\n'
    file.write_text(f'{first_line}\n{sender}[[routes]]\nprefix = "+"\nsenders = ["own"]\n')
    return file


@pytest.mark.parametrize(
    ("words", "needed", "shown"),
    [
        (["preview"], {}, "sign_up (zh)"),
        (["spending"], {"POSTGRES_URL": SERVERS["POSTGRES_URL"]}, "The settings file has no [spending]"),
    ],
)
def test_a_command_that_only_shows_needs_no_key_and_no_server_that_it_does_not_call(
    words: list[str], needed: dict[str, str], shown: str, tmp_path: Path
) -> None:
    alone = {"PATH": os.environ["PATH"], "SERVICE_TOKEN": SECRETS["SERVICE_TOKEN"], "OWN_SECRET": "23" * 32}
    ran = subprocess.run(
        [sys.executable, "-m", "sms_service", *words],
        env=alone | needed | {"SMS_CONFIG_FILE": str(a_file(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown in ran.stdout + ran.stderr


def test_migrate_needs_no_key_that_makes_codes() -> None:
    assert not {"code_keys", "ticket_keys", "phone_key"} & set(DatabaseSettings.model_fields)
