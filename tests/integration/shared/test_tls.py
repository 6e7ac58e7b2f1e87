"""TLS to every server: its name is verified, and a process that meets a wrong one or plain text never serves."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from stack.services import PROGRAMS
from stack.system import Stack
from support.servers.certificates import Authority
from support.servers.tls_servers import NAME, rabbitmq_with_tls, tls_proxy

from shared import amqp, postgres, redis
from shared.process.startup import UnreachableError


@dataclass(frozen=True)
class TlsServer:
    """A server that speaks TLS: its URL without scheme and parameters, and how a verifying URL is written."""

    place: str
    scheme: str
    parameters: str

    def url(self, authority: Path, *, host: str = NAME) -> str:
        return f"{self.scheme}://{self.place}?{self.parameters}{authority}".replace("@HOST:", f"@{host}:")


VERIFIED = {
    "POSTGRES_URL": ("postgresql", "sslmode=verify-full&sslrootcert="),
    "AMQP_URL": ("amqps", "cafile="),
    "REDIS_URL": ("rediss", "ssl_ca_certs="),
}
PROCESSES = [
    ("auth-service", "POSTGRES_URL"),
    ("auth-service", "AMQP_URL"),
    ("sms-worker", "AMQP_URL"),
    ("sms-service", "REDIS_URL"),
    ("contacts-service", "REDIS_URL"),
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def broker(servers: Stack, authority: Authority) -> Iterator[str]:
    """RabbitMQ with TLS: user, host, port and path."""
    server, port = rabbitmq_with_tls(servers.folder, authority)
    try:
        server.start()
        yield f"operator:a-password@HOST:{port}/%2F"
    finally:
        server.close()


@pytest.fixture
async def tls(broker: str, servers: Stack, authority: Authority, tmp_path: Path) -> AsyncIterator[dict[str, TlsServer]]:
    """The three servers, by the variable that names them."""
    places = {"AMQP_URL": broker}
    async with AsyncExitStack() as proxies:
        for variable in ("POSTGRES_URL", "REDIS_URL"):
            plain = servers.addresses[variable]
            port = await proxies.enter_async_context(tls_proxy(plain, authority.certify(NAME, tmp_path)))
            parts = urlsplit(plain)
            places[variable] = f"{parts.username}:{parts.password}@HOST:{port}{parts.path}"
        yield {name: TlsServer(places[name], *VERIFIED[name]) for name in VERIFIED}


def opened(variable: str, url: str) -> AbstractAsyncContextManager[object]:
    """The client of a service for the server that a variable names."""
    if variable == "POSTGRES_URL":
        return postgres.pool(url, "postgres")
    return amqp.connect(url, "test") if variable == "AMQP_URL" else redis.client(url)


async def test_the_clients_verify_the_servers_and_use_them(tls: dict[str, TlsServer], authority: Authority) -> None:
    urls = {name: server.url(authority.file) for name, server in tls.items()}
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(postgres.pool(urls["POSTGRES_URL"], "postgres"))
        connection = await stack.enter_async_context(amqp.connect(urls["AMQP_URL"], "test"))
        client = await stack.enter_async_context(redis.client(urls["REDIS_URL"]))

        assert await pool.fetchval("select 1") == 1
        assert not await connection.has_exchange("missing")
        assert await client.ping()


@pytest.mark.parametrize("variable", ["POSTGRES_URL", "AMQP_URL"])
async def test_a_server_without_tls_is_refused_at_once(variable: str, servers: Stack, authority: Authority) -> None:
    place = servers.addresses[variable].partition("://")[2].replace("@127.0.0.1:", "@HOST:")
    url = TlsServer(place, *VERIFIED[variable]).url(authority.file)
    with pytest.raises(UnreachableError, match="it does not speak TLS there: correct it"):
        async with opened(variable, url):
            pass


@pytest.mark.parametrize(("name", "variable"), PROCESSES)
async def test_a_process_that_meets_a_wrong_name_ends_with_one_line_and_never_serves(
    name: str, variable: str, servers: Stack, tls: dict[str, TlsServer], authority: Authority
) -> None:
    program = PROGRAMS[name]
    wrong = {variable: tls[variable].url(authority.file, host="127.0.0.1"), "CALLER_LIMITS": "on"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", program.module, *program.arguments),
        env=servers.environ_of(name) | wrong,
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = (text.decode() for text in await process.communicate())

    assert process.returncode == 1
    assert errors.count("\n") == 1, errors
    assert errors.startswith(f"{name} cannot run: ")
    assert "IP address mismatch" in errors
    assert "service.ready" not in output


async def test_a_migration_that_meets_a_wrong_name_ends_with_one_line(
    servers: Stack, tls: dict[str, TlsServer], authority: Authority
) -> None:
    url = tls["POSTGRES_URL"].url(authority.file, host="127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auth_service", "migrate"),
        env=servers.environ_of("auth-service-migrate") | {"POSTGRES_URL": url},
        stdout=PIPE,
        stderr=PIPE,
    )
    _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.decode().count("\n") == 1
    assert "IP address mismatch" in errors.decode()
