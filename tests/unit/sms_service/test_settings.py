"""Settings that stop the start, and the line that says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.principals import strong_secret

from shared.process.settings import Settings, load
from sms_service.settings import DatabaseSettings, ExplainSettings, SmsSettings, SpendingSettings, WorkerSettings

SERVERS = {
    "POSTGRES_URL": f"postgresql://app:{strong_secret('postgres_url')}@db",
    "REDIS_URL": f"redis://app:{strong_secret('redis_url')}@cache",
    "AMQP_URL": f"amqp://app:{strong_secret('amqp_url')}@broker",
}
SECRETS = {
    **{name: strong_secret(name) for name in ("GATEWAY_TO_SMS_TOKEN", "SMS_TO_AUTH_TOKEN", "PHONE_KEY")},
    **{name: f"1:{strong_secret(name)}" for name in ("PHONE_SEAL_KEYS", "TICKET_KEYS", "CODE_KEYS")},
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
    assert (settings.sms_port, load(WorkerSettings, "sms-worker").inbox_url) == (9000, "http://127.0.0.1:8082")
    assert settings.code_keys.get_secret_value() not in repr(settings)


@pytest.mark.parametrize("token", ["short-and-secret", f"{strong_secret('operator')},short-and-secret"])
def test_each_operator_token_is_long(refusal, token: str) -> None:
    error = refusal(**SERVERS, **SECRETS, ENVIRONMENT="development", OPERATOR_TO_SMS_TOKEN=token)
    assert error == "sms-service cannot start: OPERATOR_TO_SMS_TOKEN: a token needs at least 32 characters\n"


@pytest.mark.parametrize(
    ("model", "secrets"),
    [
        (ExplainSettings, {"SMS_TO_AUTH_TOKEN", "PHONE_KEY", "PHONE_SEAL_KEYS"}),
        (WorkerSettings, {"PHONE_SEAL_KEYS", "CODE_KEYS", "AUDIT_KEYS"}),
        (DatabaseSettings, set()),
        (SpendingSettings, set()),
    ],
)
def test_a_process_needs_no_secret_but_its_own(model: type[Settings], secrets: set[str]) -> None:
    assert {name.upper() for name in model.secret_names()} == secrets


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


@pytest.mark.parametrize("name", ["CODE_KEYS", "TICKET_KEYS", "PHONE_KEY", "PHONE_SEAL_KEYS", "GATEWAY_TO_SMS_TOKEN"])
def test_a_malformed_secret_is_named_and_not_shown(refusal, name: str) -> None:
    error = refusal(**(SERVERS | SECRETS | {"ENVIRONMENT": "development", name: "no-key-at-all"}))
    assert error.startswith(f"sms-service cannot start: {name}: ")
    assert "no-key-at-all" not in error


def test_production_needs_a_settings_file_of_senders(refusal) -> None:
    assert "cannot start: SMS_CONFIG_FILE is missing" in refusal(**SERVERS, **SECRETS)
    assert "cannot start: SMS_CONFIG_FILE is missing" in refusal(**SERVERS, **SECRETS, SMS_CONFIG_FILE="")


def test_callers_are_always_limited_in_production(refusal, tmp_path: Path) -> None:
    environ = SERVERS | SECRETS | {"SMS_CONFIG_FILE": str(a_file(tmp_path)), "OWN_SECRET": "23" * 32}
    assert "cannot start: CALLER_LIMITS=off is a switch for development" in refusal(**environ, CALLER_LIMITS="off")


@pytest.mark.parametrize(("switch", "value"), [("MASTER_CODE", "909"), ("REVEAL_CODES", "1")])
def test_switches_for_development_are_refused_in_production(refusal, tmp_path: Path, switch: str, value: str) -> None:
    environ = SERVERS | SECRETS | {"SMS_CONFIG_FILE": str(a_file(tmp_path, SPENDING_DECIDED)), "OWN_SECRET": "23" * 32}
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


SPENDING_DECIDED = 'spending = "none"'
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
    alone = {"PATH": os.environ["PATH"], "OWN_SECRET": "23" * 32}
    ran = subprocess.run(
        [sys.executable, "-m", "sms_service", *words],
        env=alone | needed | {"SMS_CONFIG_FILE": str(a_file(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown in ran.stdout + ran.stderr
