"""The settings of auth-service: what production refuses, and what is never printed."""

from typing import Any

import pytest
from pydantic import ValidationError
from support.principals import strong_secret

from auth_service.settings import AuthSettings

DATABASE_PASSWORD, BROKER_PASSWORD = strong_secret("database")[:32], strong_secret("broker")[:32]
SERVERS = {
    "postgres_url": f"postgresql://app:{DATABASE_PASSWORD}@db/postgres",
    "amqp_url": f"amqp://app:{BROKER_PASSWORD}@mq/",
}
TOKENS = ("gateway_to_auth_token", "sms_to_auth_token", "contacts_to_auth_token")
RINGS = ("ticket_keys", "password_peppers", "jwt_keys", "audit_keys")
SECRETS = {
    **{name: strong_secret(name) for name in (*TOKENS, "phone_key")},
    **{name: f"1:{strong_secret(name)}" for name in RINGS},
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

    assert DATABASE_PASSWORD not in shown
    assert BROKER_PASSWORD not in shown
    assert not any(value[-32:] in shown for value in SECRETS.values())
