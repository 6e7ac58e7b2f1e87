"""A missing secret or an invalid value ends the process with one line that names the variable."""

from ipaddress import ip_network

import pytest
from support.principals import strong_secret

from gateway.settings import GatewaySettings
from shared.keys import development_secret
from shared.process.settings import load

SECRET = strong_secret("gateway_to_auth_token")
OTHERS = {
    "GATEWAY_TO_SMS_TOKEN": strong_secret("gateway_to_sms_token"),
    "GATEWAY_TO_CONTACTS_TOKEN": strong_secret("gateway_to_contacts_token"),
    "SEALED_NUMBER_KEYS": f"1:{strong_secret('sealed_number_keys')}",
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ENVIRONMENT",
        "GATEWAY_TO_AUTH_TOKEN",
        "REVEAL_CODES",
        "MASTER_CODE",
        "SERVED_CALLING_CODES",
        "TRUSTED_PROXIES",
        "CORS_ORIGINS",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "GATEWAY_TO_AUTH_TOKEN"),
        ({"ENVIRONMENT": "production"}, "GATEWAY_TO_AUTH_TOKEN"),
        ({"GATEWAY_TO_AUTH_TOKEN": "short"}, "GATEWAY_TO_AUTH_TOKEN"),
        ({"GATEWAY_TO_AUTH_TOKEN": development_secret("gateway_to_auth_token")}, "GATEWAY_TO_AUTH_TOKEN"),
        ({"GATEWAY_TO_AUTH_TOKEN": development_secret("gateway_to_auth_token").upper()}, "GATEWAY_TO_AUTH_TOKEN"),
        ({"GATEWAY_TO_AUTH_TOKEN": development_secret("code_keys")}, "GATEWAY_TO_AUTH_TOKEN"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "AUTH_URL": "https://auth.internal"}, "AUTH_URL"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "AUTH_URL": "http://auth.internal/base"}, "AUTH_URL"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "AUTH_URL": "nonsense"}, "AUTH_URL"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "DIALECTS": "maitian,klingon"}, "DIALECTS"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "ENVIRONMENT": "staging"}, "ENVIRONMENT"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "GATEWAY_PORT": "high"}, "GATEWAY_PORT"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "SERVED_CALLING_CODES": "china"}, "SERVED_CALLING_CODES"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "TRUSTED_PROXIES": "10.0.0.0/99"}, "TRUSTED_PROXIES"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET}, "TRUSTED_PROXIES"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "TRUSTED_PROXIES": ""}, "TRUSTED_PROXIES"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "TRUSTED_PROXIES": "none,10.0.0.0/8"}, "TRUSTED_PROXIES"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "TRUSTED_PROXIES": "none", "CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
        ({"GATEWAY_TO_AUTH_TOKEN": SECRET, "TRUSTED_PROXIES": "none", "SESSION_COOKIES": "a b"}, "SESSION_COOKIES"),
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
    assert settings.gateway_to_auth_token.get_secret_value() == development_secret("gateway_to_auth_token")
    assert development_secret("gateway_to_auth_token") not in repr(settings)


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        load(GatewaySettings, "gateway")
    return capsys.readouterr().err


@pytest.mark.parametrize("environment", ["prod", "PRODUCTION", "staging", "Development "])
def test_an_unknown_environment_is_told_before_any_missing_secret(
    environment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    assert refusal(capsys) == "gateway cannot start: ENVIRONMENT is none of development, production\n"


def test_all_missing_secrets_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEALED_NUMBER_KEYS", "")
    assert refusal(capsys) == (
        "gateway cannot start: GATEWAY_TO_AUTH_TOKEN and SEALED_NUMBER_KEYS are missing: "
        "a secret has no default outside development\n"
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("LOG_LEVLE", "LOG_LEVEL"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("LOG_LEVELL", "LOG_LEVEL"),
        ("LOG-LEVEL", "LOG_LEVEL"),
        ("GATWAY_PORT", "GATEWAY_PORT"),
        ("TRUSTED_PROXYES", "TRUSTED_PROXIES"),
        ("LOG_LEVEL", None),
        ("AUTH_PORT", None),  # of another service
        ("PAGER", None),  # not PAGES
        ("LOG_LEVER_ARM", None),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_named_and_its_value_is_not(
    typed: str, meant: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv(typed, "8090" if "PORT" in typed else "none" if "PROX" in typed else "debug")
    load(GatewaySettings, "gateway")
    expected = f"gateway: {typed} is no setting: did you mean {meant}?\n" if meant else ""
    assert capsys.readouterr().err == expected


def test_a_setting_that_is_there_has_no_misspelled_neighbour(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("LOG_LEVELS", "debug")  # of another program
    load(GatewaySettings, "gateway")
    assert capsys.readouterr().err == ""


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name.upper() for name in GatewaySettings.model_fields]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENVIRONMENT", "development")
    unset = load(GatewaySettings, "gateway")
    for name in names:
        monkeypatch.setenv(name, "development" if name == "ENVIRONMENT" else "")
    assert load(GatewaySettings, "gateway") == unset


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GATEWAY_PORT", "70000", "must be at most 65535"),
        ("GATEWAY_PORT", "-1", "must be at least 0"),
        ("GATEWAY_PORT", "high", "must be a whole number"),
        ("LOG_LEVEL", "loud", "is none of debug, info, warning, error"),
        ("PAGES", "yes", "is none of on, off"),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv(variable, value)
    assert refusal(capsys) == f"gateway cannot start: {variable}: {words}\n"


@pytest.mark.parametrize(
    ("value", "proxies"), [("none", ()), ("10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1")))]
)
def test_production_starts_when_it_is_said_which_proxies_there_are(
    value: str, proxies: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TO_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("TRUSTED_PROXIES", value)
    assert load(GatewaySettings, "gateway").trusted_proxies == proxies


def test_development_starts_without_a_word_about_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert load(GatewaySettings, "gateway").trusted_proxies is None
