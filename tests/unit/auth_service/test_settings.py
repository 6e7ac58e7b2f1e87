"""The settings of auth-service: what production refuses, and what is never printed."""

from typing import Any

import pytest
from pydantic import ValidationError

from auth_service.settings import AuthSettings

SERVERS = {"postgres_url": "postgresql://app:hunter2@db/postgres", "amqp_url": "amqp://app:hunter2@mq/"}
SECRETS = {
    "service_token": "1a" * 32,
    "ticket_keys": "1:" + "2b" * 32,
    "password_peppers": "1:" + "3c" * 32,
    "phone_key": "4d" * 32,
    "jwt_keys": "1:" + "5e" * 32,
    "audit_keys": "1:" + "6f" * 32,
}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AuthSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings(**values: Any) -> AuthSettings:
    return AuthSettings(**(SERVERS | values))


def test_production_starts_with_every_secret() -> None:
    assert settings(**SECRETS).auth_port == 8081


@pytest.mark.parametrize("missing", SECRETS)
def test_production_names_a_missing_secret(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing.upper()):
        settings(**{name: value for name, value in SECRETS.items() if name != missing})


def test_limits_cannot_be_switched_off_in_production() -> None:
    with pytest.raises(ValidationError, match="CALLER_LIMITS"):
        settings(**SECRETS, caller_limits="off")


@pytest.mark.parametrize("wrong", ["none", "HS256", "RS256", "es256", ""])
def test_access_tokens_are_signed_with_one_of_two_algorithms(wrong: str) -> None:
    assert settings(**SECRETS).jwt_algorithm == "EdDSA"
    assert settings(**SECRETS, jwt_algorithm="ES256").jwt_algorithm == "ES256"
    with pytest.raises(ValidationError, match="'EdDSA' or 'ES256'"):
        settings(**SECRETS, jwt_algorithm=wrong)


def test_a_jwt_key_that_is_not_a_seed_of_32_bytes_is_refused() -> None:
    with pytest.raises(ValidationError, match="exactly 64 hex digits"):
        settings(**SECRETS | {"jwt_keys": "2:" + "5e" * 33 + ",1:" + "5e" * 32})


def test_development_has_default_secrets_and_may_switch_limits_off() -> None:
    development = settings(environment="development", caller_limits="off")

    assert development.password_peppers.get_secret_value().startswith("1:")


def test_no_secret_is_printed() -> None:
    shown = repr(settings(**SECRETS))

    assert "hunter2" not in shown
    assert not any(value[-32:] in shown for value in SECRETS.values())
