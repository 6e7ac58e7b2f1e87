"""URLs of servers: one host or several, TLS, and a line for each mistake that quotes no password."""

from pathlib import Path

import pytest
from pydantic import ValidationError, create_model
from support.servers.certificates import Authority

from shared.process.environment.server_urls import hosts_of
from shared.process.settings import AmqpUrl, PostgresUrl, RedisUrl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority")).file


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (PostgresUrl, "postgres://app:a,b@one:5432,two:5433/auth?sslmode=verify-full&sslrootcert=FILE"),
        (PostgresUrl, "postgresql://app@one,two/auth?target_session_attrs=read-write"),
        (PostgresUrl, "postgresql://app@db/auth?sslmode=require&application_name=x"),
        (PostgresUrl, "postgresql:///auth?host=/run/postgresql"),
        (RedisUrl, "rediss://:a,b@cache:6379/0?ssl_ca_certs=FILE"),
        (RedisUrl, "unix:///run/valkey.sock"),
        (RedisUrl, "redis+sentinel://app:secret@one:26379,two:26379/haoma?sentinel_password=other"),
        (RedisUrl, "rediss+sentinel://app:secret@one,two/haoma/3?ssl_ca_certs=FILE"),
        (RedisUrl, "redis+cluster://app:secret@one:6379,two:6379/0"),
        (RedisUrl, "rediss+cluster://app:secret@one:6379?ssl_ca_certs=FILE"),
        (AmqpUrl, "amqp://app:secret@one,two:5673,10.0.0.1/%2F"),
        (AmqpUrl, "amqps://app:a,b@broker/%2F?cafile=FILE"),
    ],
)
def test_a_url_of_a_server_is_kept_as_it_is(kind: type[str], url: str, authority: Path) -> None:
    url = url.replace("FILE", str(authority))
    settings = create_model("Settings", url=(kind, ...))
    assert settings(url=url).url == url


@pytest.mark.parametrize(
    ("kind", "url", "text"),
    [
        (PostgresUrl, "mysql://app:secret@db/auth", "expected postgresql://host:port"),
        (PostgresUrl, "postgresql://app:secret@db:port/auth", "expected postgresql://host:port"),
        (PostgresUrl, "postgresql://app:secret@one,/auth", "expected postgresql://host:port"),
        (PostgresUrl, "postgresql://app:secret@one,two/auth?target_session_attrs=any", "read-write: no decision"),
        (PostgresUrl, "postgresql://app:secret@db/auth?target_session_attrs=prefer-standby", "read-write"),
        (PostgresUrl, "postgresql://app:secret@db/auth?sslmode=verify", "sslmode is none of disable, allow"),
        (PostgresUrl, "postgresql://app:secret@db/auth?sslmode=verify-full", "needs sslrootcert="),
        (PostgresUrl, "postgresql://app:secret@db/auth?sslrootcert=FILE", "needs sslmode=verify-full"),
        (PostgresUrl, "postgresql://app:secret@db/auth?sslmode=verify-full&sslrootcert=/none", "missing or unreadable"),
        (PostgresUrl, "postgresql://app:secret@db/auth?sslmode=verify-full&sslrootcert=EMPTY", "without a certificate"),
        (RedisUrl, "redis://:secret@one:6379,two:6379/0", "several need redis+sentinel://"),
        (RedisUrl, "redis://:secret/more@cache:6379/0", "expected redis://host:port"),
        (RedisUrl, "redis+sentinel://:secret@one:26379,two:26379", "the name that the Sentinels watch"),
        (RedisUrl, "redis+cluster://:secret@one,two/1", "database 0 only"),
        (RedisUrl, "redis://:secret@cache/0?ssl_ca_certs=FILE", "needs rediss://"),
        (RedisUrl, "redis+cluster://:secret@one/0?ssl_ca_certs=FILE", "needs rediss+cluster://"),
        (RedisUrl, "rediss://:secret@cache/0?ssl_cert_reqs=none", "has no parameter 'ssl_cert_reqs'"),
        (RedisUrl, "rediss://:secret@cache/0?ssl_ca_certs=/none", "missing or unreadable"),
        (AmqpUrl, "amqp://app:secret@[broker/", "expected amqp://host:port"),
        (AmqpUrl, "amqp://app:secret@broker:port/", "expected amqp://host:port"),
        (AmqpUrl, "amqp://app:secret@broker/?cafile=FILE", "needs amqps://"),
        (AmqpUrl, "amqps://app:secret@broker/?ca_certs=FILE", "has no parameter 'ca_certs': known are"),
        (AmqpUrl, "amqps://app:secret@broker/?no_verify_ssl=1", "has no parameter 'no_verify_ssl'"),
        (AmqpUrl, "amqps://app:secret@broker/?cafile=EMPTY", "without a certificate in PEM"),
    ],
)
def test_a_wrong_url_is_refused_in_a_line_without_its_password(
    kind: type[str], url: str, text: str, authority: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    settings = create_model("Settings", url=(kind, ...))
    with pytest.raises(ValidationError) as refusal:
        settings(url=url.replace("FILE", str(authority)).replace("EMPTY", str(empty)))
    (problem,) = refusal.value.errors(include_input=False)
    assert text in problem["msg"]
    assert "secret" not in problem["msg"]
    assert "\n" not in problem["msg"]


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        (
            "postgresql://app:a,b@one:5432,two/auth?x=1",
            ["postgresql://app:a,b@one:5432/auth?x=1", "postgresql://app:a,b@two/auth?x=1"],
        ),
        ("amqps://one/%2F", ["amqps://one/%2F"]),
        ("postgresql:/auth?host=/run/postgresql", ["postgresql:/auth?host=/run/postgresql"]),
    ],
)
def test_the_hosts_of_a_url_keep_its_user_path_and_query(url: str, hosts: list[str]) -> None:
    assert hosts_of(url) == hosts
