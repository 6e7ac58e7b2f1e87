"""What contacts-service is told, and what it says when told wrong."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from contacts_service.settings import ContactsSettings

SERVERS = {"postgres_url": "postgresql://h/p", "redis_url": "redis://h", "amqp_url": "amqp://h"}


def test_development_needs_servers_alone() -> None:
    settings = ContactsSettings(environment="development", **SERVERS)

    assert (settings.contacts_port, settings.contacts_database, settings.served_calling_codes) == (
        8083,
        "contacts",
        ("86",),
    )
    assert (settings.contacts_budget, settings.contacts_budget_per_hour) == (5_000, 20)


def test_countries_are_a_list_of_calling_codes() -> None:
    environ = {name.upper(): value for name, value in SERVERS.items()} | {"ENVIRONMENT": "development"}

    assert ContactsSettings.from_env(environ | {"SERVED_CALLING_CODES": "86, 852"}).served_calling_codes == (
        "86",
        "852",
    )


@pytest.mark.parametrize(
    "wrong", [{"served_calling_codes": " , "}, {"contacts_budget": 0}, {"contacts_budget_per_hour": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ContactsSettings(environment="development", **SERVERS | wrong)


def test_nothing_private_is_shown_of_the_settings() -> None:
    settings = ContactsSettings(environment="development", **SERVERS | {"postgres_url": "postgresql://u:hush@h/p"})

    assert "hush" not in repr(settings)
    assert settings.phone_key.get_secret_value() not in repr(settings)


def test_the_command_explains_itself() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "contacts_service", "--help"], capture_output=True, text=True, check=True
    )

    assert "migrate" in shown.stdout


def test_a_missing_variable_is_named() -> None:
    command = [sys.executable, "-m", "contacts_service"]
    env = {"ENVIRONMENT": "development", "REDIS_URL": "redis://h", "AMQP_URL": "amqp://h"}
    started = subprocess.run(command, capture_output=True, text=True, env=env, check=False)

    assert started.returncode == 2
    assert "POSTGRES_URL" in started.stderr
