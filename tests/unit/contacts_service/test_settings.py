"""The settings of contacts-service, and the message for a wrong one."""

import subprocess
import sys

import pytest
from pydantic import ValidationError
from support.principals import strong_secret

from contacts_service.settings import ContactsSettings

SERVERS = {
    "postgres_url": f"postgresql://app:{strong_secret('postgres_url')}@h/p",
    "redis_url": f"redis://app:{strong_secret('redis_url')}@h",
    "amqp_url": f"amqp://app:{strong_secret('amqp_url')}@h",
}
SECRETS = {name: strong_secret(name) for name in ("gateway_to_contacts_token", "contacts_to_auth_token", "phone_key")}


def test_development_needs_only_the_servers() -> None:
    settings = ContactsSettings(environment="development", **SERVERS)

    assert (settings.contacts_port, settings.contacts_database, settings.served_calling_codes) == (
        8083,
        "contacts",
        ("86",),
    )
    assert (settings.contacts_budget, settings.contacts_budget_per_hour, settings.calls_per_minute) == (5_000, 20, 30)


def test_calls_are_not_limited_while_caller_limits_are_off() -> None:
    settings = ContactsSettings(environment="development", caller_limits="off", **SERVERS)

    assert settings.calls_per_minute is None


def test_production_refuses_to_start_without_caller_limits() -> None:
    with pytest.raises(ValidationError, match="CALLER_LIMITS=off is a switch for development"):
        ContactsSettings(caller_limits="off", **SERVERS, **SECRETS)


def test_the_served_calling_codes_are_a_list() -> None:
    environ = {name.upper(): value for name, value in SERVERS.items()} | {"ENVIRONMENT": "development"}

    assert ContactsSettings.from_env(environ | {"SERVED_CALLING_CODES": "86, 852"}).served_calling_codes == (
        "86",
        "852",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"served_calling_codes": " , "},
        {"contacts_budget": 0},
        {"contacts_budget_per_hour": 0},
        {"contacts_calls_per_minute": 0},
        {"contacts_budget": 1_000_001},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ContactsSettings(environment="development", **SERVERS | wrong)


def test_settings_do_not_print_secrets() -> None:
    settings = ContactsSettings(environment="development", **SERVERS | {"postgres_url": "postgresql://u:hush@h/p"})

    assert "hush" not in repr(settings)
    assert settings.phone_key.get_secret_value() not in repr(settings)


def test_the_command_has_a_help_text() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "contacts_service", "--help"], capture_output=True, text=True, check=True
    )

    assert "migrate" in shown.stdout


def test_the_error_names_a_missing_variable() -> None:
    command = [sys.executable, "-m", "contacts_service"]
    env = {"ENVIRONMENT": "development", "REDIS_URL": "redis://h", "AMQP_URL": "amqp://h"}
    process = subprocess.run(command, capture_output=True, text=True, env=env, check=False)

    assert process.returncode == 2
    assert "POSTGRES_URL" in process.stderr


@pytest.mark.parametrize("missing", SECRETS)
def test_production_needs_every_secret(missing: str) -> None:
    ContactsSettings(**SERVERS, **SECRETS)

    with pytest.raises(ValidationError, match=missing.upper()):
        ContactsSettings(**SERVERS, **{name: value for name, value in SECRETS.items() if name != missing})
