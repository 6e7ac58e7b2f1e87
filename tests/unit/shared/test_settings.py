"""A missing secret or an invalid value ends the process with one line that names the variable."""

import pytest
from pydantic import ValidationError, create_model

from gateway.settings import GatewaySettings
from shared.keys import development_secret
from shared.process.settings import AmqpUrl, PostgresUrl, RedisUrl, load

SECRET = "ab" * 32


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ENVIRONMENT",
        "SERVICE_TOKEN",
        "REVEAL_CODES",
        "MASTER_CODE",
        "SERVED_CALLING_CODES",
        "TRUSTED_PROXIES",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEALED_NUMBER_KEYS", f"1:{SECRET}")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "SERVICE_TOKEN"),
        ({"ENVIRONMENT": "production"}, "SERVICE_TOKEN"),
        ({"SERVICE_TOKEN": "short"}, "SERVICE_TOKEN"),
        ({"SERVICE_TOKEN": development_secret("service_token")}, "SERVICE_TOKEN"),
        ({"SERVICE_TOKEN": development_secret("service_token").upper()}, "SERVICE_TOKEN"),
        ({"SERVICE_TOKEN": development_secret("code_keys")}, "SERVICE_TOKEN"),
        ({"SERVICE_TOKEN": SECRET, "AUTH_URL": "https://auth.internal"}, "AUTH_URL"),
        ({"SERVICE_TOKEN": SECRET, "AUTH_URL": "http://auth.internal/base"}, "AUTH_URL"),
        ({"SERVICE_TOKEN": SECRET, "AUTH_URL": "nonsense"}, "AUTH_URL"),
        ({"SERVICE_TOKEN": SECRET, "DIALECTS": "maitian,klingon"}, "DIALECTS"),
        ({"SERVICE_TOKEN": SECRET, "ENVIRONMENT": "staging"}, "ENVIRONMENT"),
        ({"SERVICE_TOKEN": SECRET, "GATEWAY_PORT": "high"}, "GATEWAY_PORT"),
        ({"SERVICE_TOKEN": SECRET, "SERVED_CALLING_CODES": "china"}, "SERVED_CALLING_CODES"),
        ({"SERVICE_TOKEN": SECRET, "TRUSTED_PROXIES": "10.0.0.0/99"}, "TRUSTED_PROXIES"),
    ],
)
def test_a_wrong_setting_ends_the_process_with_one_line_that_names_the_variable(
    environ: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        load(GatewaySettings, "gateway")
    error = capsys.readouterr().err
    assert end.value.code != 0
    assert error.count("\n") == 1
    assert error.startswith("gateway cannot start: ")
    assert named in error
    assert SECRET not in error


def test_development_needs_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.delenv("SEALED_NUMBER_KEYS")
    settings = load(GatewaySettings, "gateway")
    assert settings.service_token.get_secret_value() == development_secret("service_token")
    assert development_secret("service_token") not in repr(settings)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (PostgresUrl, "postgres://app:a,b@one:5432,two:5433/auth?sslmode=verify-full&target_session_attrs=read-write"),
        (PostgresUrl, "postgresql:///auth?host=/run/postgresql"),
        (RedisUrl, "rediss://:a,b@cache:6379/0"),
        (RedisUrl, "unix:///run/valkey.sock"),
        (AmqpUrl, "amqps://app:a,b@broker/%2F"),
    ],
)
def test_every_form_of_a_servers_address_is_accepted(kind: object, url: str) -> None:
    assert create_model("Servers", url=(kind, ...))(url=url).url == url


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (RedisUrl, "redis://:secret@one:6379,two:6379/0"),
        (AmqpUrl, "amqp://app:secret@one,two/%2F"),
        (AmqpUrl, "amqp://app:secret@broker:port/"),
        (RedisUrl, "redis://:secret/more@cache:6379/0"),
    ],
)
def test_an_address_that_no_driver_understands_is_refused_without_its_password(kind: object, url: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        create_model("Servers", url=(kind, ...))(url=url)
    (problem,) = refusal.value.errors(include_input=False, include_url=False, include_context=False)
    assert "expected" in problem["msg"]
    assert "secret" not in problem["msg"]
