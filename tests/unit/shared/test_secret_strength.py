"""Production refuses secrets that are known, not random or shared, each in one line that names the setting alone."""

import secrets

import pytest
from support.principals import strong_secret

from contacts_service.settings import ContactsSettings
from shared.keys import development_secret
from shared.process.environment.secret_strength import weaknesses
from shared.process.settings import Settings, load

KEY, OTHER = strong_secret("one"), strong_secret("other")
PASSWORD = strong_secret("password")[:32]
NOT_RANDOM = "is not random: generate it with openssl rand -hex 32"
SHARED = "hold the same secret: generate one for each"
KNOWN = "has a password that is well known: generate it with openssl rand -hex 16"
GUESSED = "has a password that can be guessed: generate it with openssl rand -hex 16"


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("0" * 64, NOT_RANDOM),
        ("f" * 64, NOT_RANDOM),
        ("ab" * 32, NOT_RANDOM),
        ("0123456789abcdef" * 4, NOT_RANDOM),
        (bytes(range(32)).hex(), NOT_RANDOM),
        (bytes(range(255, 223, -1)).hex(), NOT_RANDOM),
        (bytes(range(0, 96, 3)).hex(), NOT_RANDOM),
        (strong_secret("half")[:32] * 2, NOT_RANDOM),
        ("1:" + "0" * 64, NOT_RANDOM),
        (f"2:{KEY},1:" + "0" * 64, NOT_RANDOM),
        (f"{KEY}," + "00" * 32, NOT_RANDOM),
        ("a-token-of-an-operator-" * 2, NOT_RANDOM),
        ("x" * 40, NOT_RANDOM),
        (f"2:{KEY},1:{KEY.upper()}", "holds the same key twice"),
        (development_secret("code_keys"), "holds a secret of development in production"),
        (f"2:{KEY},1:{development_secret('code_keys').upper()}", "holds a secret of development in production"),
    ],
)
def test_a_secret_that_is_known_or_not_random_is_refused(secret: str, reason: str) -> None:
    (line,) = weaknesses({"CODE_KEYS": secret}, {})
    assert line == f"CODE_KEYS {reason}"


@pytest.mark.parametrize(
    "secret", [KEY, f"1:{KEY}", f"2:{KEY},1:{OTHER}", f"{KEY},{OTHER}", "v8Hq-2LmX_tR0yKc7WzEwB5nPsJd-9fA"]
)
def test_a_random_secret_is_accepted(secret: str) -> None:
    assert weaknesses({"CODE_KEYS": secret}, {}) == []


def test_what_openssl_generates_is_never_refused() -> None:
    generated = [secrets.token_hex(size) for size in (16, 32) for _ in range(2_000)]
    assert [line for key in generated for line in weaknesses({"KEY": key}, {"URL": f"redis://:{key[:32]}@h"})] == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://app@db/auth", "has no password"),
        ("postgresql://db/auth", "has no password"),
        ("redis://cache:6379/0", "has no password"),
        ("amqp://app:@broker/", "has no password"),
        ("postgresql://postgres:development@db/auth", KNOWN),
        ("redis://:development@cache/0", KNOWN),
        ("amqp://haoma:development@broker/%2F", KNOWN),
        ("amqp://guest:guest@broker/", KNOWN),
        ("postgresql://app:Password123!@db/auth", KNOWN),
        ("postgresql://auth_service:auth_service@db/auth", KNOWN),
        ("postgresql://app@db/auth?password=changeme", KNOWN),
        ("postgresql://app:ch%61ngeme@db/auth", KNOWN),
        ("postgresql://app:short1x@db/auth", GUESSED),
        ("postgresql://app:aaaaaaaaaaaaaaaaaaaa@db/auth", GUESSED),
        ("postgresql://app:abc123abc123abc123@db/auth", GUESSED),
        ("postgresql://app:1q1q2w2w1q1q@one,two/auth", GUESSED),
    ],
)
def test_the_password_of_a_server_that_is_missing_or_can_be_guessed_is_refused(url: str, reason: str) -> None:
    (line,) = weaknesses({}, {"POSTGRES_URL": url})
    assert line == f"POSTGRES_URL {reason}"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{PASSWORD}@one:5432,two:5433/auth?sslmode=verify-full",
        f"postgresql://app@db/auth?password={PASSWORD}",
        "postgresql:///auth?host=/run/postgresql",
        "unix:///run/valkey.sock",
        "postgresql://app@db/auth?sslcert=/run/secrets/app.crt",
        "postgresql://app@db/auth?passfile=/run/secrets/pgpass",
    ],
)
def test_a_random_password_or_another_proof_is_accepted(url: str) -> None:
    assert weaknesses({}, {"POSTGRES_URL": url}) == []


def test_two_settings_with_the_same_secret_are_refused() -> None:
    configured = {
        "GATEWAY_TO_AUTH_TOKEN": f"{KEY},{OTHER}",
        "SMS_TO_AUTH_TOKEN": OTHER.upper(),
        "CODE_KEYS": f"1:{KEY}",
    }
    urls = {"POSTGRES_URL": f"postgresql://a:{PASSWORD}@db", "REDIS_URL": f"redis://b:{PASSWORD}@cache"}
    assert weaknesses(configured, urls) == [
        "GATEWAY_TO_AUTH_TOKEN and SMS_TO_AUTH_TOKEN hold the same secret: generate one for each",
        "GATEWAY_TO_AUTH_TOKEN and CODE_KEYS hold the same secret: generate one for each",
        "POSTGRES_URL and REDIS_URL hold the same secret: generate one for each",
    ]


ENVIRONMENT = {
    "GATEWAY_TO_CONTACTS_TOKEN": KEY,
    "CONTACTS_TO_AUTH_TOKEN": OTHER,
    "PHONE_KEY": strong_secret("phone"),
    "POSTGRES_URL": f"postgresql://app:{strong_secret('postgres')}@db/contacts",
    "REDIS_URL": f"redis://app:{strong_secret('redis')}@cache/0",
    "AMQP_URL": f"amqp://app:{strong_secret('amqp')}@broker/",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Settings.model_fields.keys() | ContactsSettings.model_fields.keys():
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_each_weak_secret_has_a_line_of_its_own_that_never_shows_it(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("PHONE_KEY", "0" * 64)
    environment.setenv("CONTACTS_TO_AUTH_TOKEN", KEY)
    environment.setenv("AMQP_URL", "amqp://guest:guest@broker/")
    with pytest.raises(SystemExit):
        load(ContactsSettings, "contacts-service")
    assert capsys.readouterr().err.splitlines() == [
        f"contacts-service cannot start: PHONE_KEY {NOT_RANDOM}",
        f"contacts-service cannot start: AMQP_URL {KNOWN}",
        f"contacts-service cannot start: GATEWAY_TO_CONTACTS_TOKEN and CONTACTS_TO_AUTH_TOKEN {SHARED}",
    ]


def test_strong_secrets_start_in_production_and_weak_ones_in_development(environment: pytest.MonkeyPatch) -> None:
    load(ContactsSettings, "contacts-service")
    environment.setenv("PHONE_KEY", "0" * 64)
    environment.setenv("POSTGRES_URL", "postgresql://postgres:development@db")
    environment.setenv("ENVIRONMENT", "development")
    load(ContactsSettings, "contacts-service")
