"""A missing secret or an invalid value ends the process with one line that names the variable."""

from ipaddress import ip_network

import pytest

from gateway.settings import GatewaySettings
from shared.keys import development_secret
from shared.process.settings import load

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
        "CORS_ORIGINS",
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
        ({"SERVICE_TOKEN": SECRET}, "TRUSTED_PROXIES"),
        ({"SERVICE_TOKEN": SECRET, "TRUSTED_PROXIES": ""}, "TRUSTED_PROXIES"),
        ({"SERVICE_TOKEN": SECRET, "TRUSTED_PROXIES": "none,10.0.0.0/8"}, "TRUSTED_PROXIES"),
        ({"SERVICE_TOKEN": SECRET, "TRUSTED_PROXIES": "none", "CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
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
    ("value", "proxies"), [("none", ()), ("10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1")))]
)
def test_production_starts_when_it_is_said_which_proxies_there_are(
    value: str, proxies: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", SECRET)
    monkeypatch.setenv("TRUSTED_PROXIES", value)
    assert load(GatewaySettings, "gateway").trusted_proxies == proxies


def test_development_starts_without_a_word_about_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert load(GatewaySettings, "gateway").trusted_proxies is None
