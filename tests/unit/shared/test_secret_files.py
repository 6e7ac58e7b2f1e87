"""A secret or the URL of a server may be in a file that ``NAME_FILE`` names."""

import os
from pathlib import Path

import pytest
from support.principals import strong_secret

from auth_service.settings import AuthSettings, DatabaseSettings
from contacts_service.settings import ContactsSettings
from gateway.settings import GatewaySettings
from shared.process.settings import Settings, load
from sms_service.settings import ExplainSettings, SmsSettings, WorkerSettings

MODELS = (
    GatewaySettings,
    AuthSettings,
    SmsSettings,
    WorkerSettings,
    ExplainSettings,
    ContactsSettings,
    DatabaseSettings,
)
URL = f"postgresql://app:{strong_secret('postgres')}@db/auth"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith(("_FILE", "_KEYS", "_KEY", "_TOKEN", "_URL", "_PEPPERS")) or name == "ENVIRONMENT":
            monkeypatch.delenv(name)


def file_with(folder: Path, content: bytes) -> str:
    file = folder / "secret"
    file.write_bytes(content)
    return str(file)


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        load(DatabaseSettings, "auth-service migrate")
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_text_of_the_file_without_its_last_line_end_is_the_value(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_URL_FILE", file_with(tmp_path, (URL + end).encode()))
    assert load(DatabaseSettings, "auth-service migrate").postgres_url == URL


def test_only_one_line_end_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_URL_FILE", file_with(tmp_path, f"{URL} \n\n".encode()))
    assert load(DatabaseSettings, "auth-service migrate").postgres_url == f"{URL} \n"


@pytest.mark.parametrize("model", MODELS)
def test_every_secret_and_every_url_of_a_server_may_be_in_a_file(model: type[Settings], tmp_path: Path) -> None:
    values = {
        name: f"1:{strong_secret(name)}" if name.endswith(("_KEYS", "_PEPPERS")) else strong_secret(name)
        for name in model.file_variables()
    }
    schemes = {"POSTGRES_URL": "postgresql", "REDIS_URL": "redis", "AMQP_URL": "amqp"}
    values |= {name: f"{scheme}://app:{values[name]}@host" for name, scheme in schemes.items() if name in values}
    environ = {"ENVIRONMENT": "development"}
    for name, value in values.items():
        (tmp_path / name).write_text(value + "\n")
        environ[f"{name}_FILE"] = str(tmp_path / name)

    settings = model.from_env(environ)

    for name, value in values.items():
        found = getattr(settings, name.lower())
        assert (found if isinstance(found, str) else found.get_secret_value()) == value


def test_the_optional_tokens_are_secrets_too() -> None:
    assert {"OPERATOR_TO_SMS_TOKEN", "WORKER_TO_INBOX_TOKEN"} <= set(SmsSettings.file_variables())


def test_a_variable_and_its_file_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_URL", URL)
    monkeypatch.setenv("POSTGRES_URL_FILE", file_with(tmp_path, URL.encode()))
    assert refusal(capsys) == (
        "auth-service migrate cannot start: POSTGRES_URL and POSTGRES_URL_FILE are both set: unset one\n"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"\xff\xfe", "the file is no text"),
        (None, "the file cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_by_its_variable(
    content: bytes | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(tmp_path / "missing") if content is None else file_with(tmp_path, content)
    monkeypatch.setenv("POSTGRES_URL_FILE", path)
    assert refusal(capsys) == f"auth-service migrate cannot start: POSTGRES_URL_FILE: {reason}\n"


def test_a_folder_in_place_of_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_URL_FILE", str(tmp_path))
    assert refusal(capsys) == (
        "auth-service migrate cannot start: POSTGRES_URL_FILE: the file cannot be read: Is a directory\n"
    )


def test_a_secret_in_place_of_its_path_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_URL_FILE", URL)
    error = refusal(capsys)
    assert error.startswith("auth-service migrate cannot start: POSTGRES_URL_FILE: the file cannot be read: ")
    assert strong_secret("postgres") not in error


def test_every_file_that_cannot_be_read_has_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("POSTGRES_URL_FILE", "REDIS_URL_FILE", "PHONE_KEY_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    with pytest.raises(SystemExit):
        load(ContactsSettings, "contacts-service")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["PHONE_KEY_FILE", "POSTGRES_URL_FILE", "REDIS_URL_FILE"]


def test_a_weak_secret_in_a_file_is_refused_in_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_URL_FILE", file_with(tmp_path, b"postgresql://postgres:development@db"))
    assert "POSTGRES_URL has a password that is well known" in refusal(capsys)


def test_a_misspelled_file_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("POSTGRES_URL_FLIE", file_with(tmp_path, URL.encode()))
    assert "POSTGRES_URL_FLIE is no setting: did you mean POSTGRES_URL_FILE?" in refusal(capsys)
