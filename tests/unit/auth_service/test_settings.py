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


SOURCE_SECRET = strong_secret("user source")


@pytest.mark.parametrize(
    "url", ["https://old.example.com/users?v=2", "http://127.0.0.1:8000/", "http://[::1]/", "http://localhost/"]
)
def test_the_user_source_is_asked_with_tls_or_on_this_machine(url: str) -> None:
    assert settings(**SECRETS, user_source_url=url, user_source_secret=SOURCE_SECRET).user_source_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://old.example.com/", "http://10.0.0.1/", "http://127.0.0.1.example.com/", "ftp://old.example.com/", "https://",
        "https://ada:pencil@old.example.com/", "https://old.example.com/#users", "old.example.com", "https://a,b/",
    ],
)  # fmt: skip
def test_other_addresses_of_a_user_source_are_refused_and_not_printed(url: str) -> None:
    with pytest.raises(ValidationError, match="user_source_url") as refused:
        settings(**SECRETS, user_source_url=url, user_source_secret=SOURCE_SECRET)
    assert "pencil" not in str(refused.value)


def test_a_user_source_needs_a_secret_that_is_long_and_of_its_own() -> None:
    url = "https://old.example.com/"
    with pytest.raises(ValidationError, match="USER_SOURCE_SECRET is missing"):
        settings(**SECRETS, user_source_url=url)
    with pytest.raises(ValidationError, match="at least 32 characters"):
        settings(**SECRETS, user_source_url=url, user_source_secret="short")
    with pytest.raises(ValidationError, match="hold the same secret"):
        settings(**SECRETS, user_source_url=url, user_source_secret=SECRETS["phone_key"])
    replaced = settings(**SECRETS, user_source_url=url, user_source_secret=f"{SOURCE_SECRET},{strong_secret('older')}")
    assert SOURCE_SECRET not in repr(replaced)
    assert settings(**SECRETS).user_source_url is None
