"""Servers that speak TLS: PostgreSQL and RabbitMQ themselves, and a proxy that ends TLS in front of Valkey.

The wheel's Valkey is built without TLS, so clients of Redis meet OpenSSL in the proxy.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from stack import ports
from stack.folder import Folder
from stack.servers.postgres import Postgres
from stack.servers.private_server import Variation
from stack.servers.rabbitmq import RabbitMQ
from support.certificates import Authority, Certificate

NAME = "localhost"
"""The name in the certificates. By its address, 127.0.0.1, the same server has the wrong name."""


def postgres_with_tls(folder: Folder, authority: Authority) -> Postgres:
    """PostgreSQL, not started, that offers TLS."""
    made = _certificate(folder, "postgres-tls", authority)
    settings = {"ssl": "on", "ssl_cert_file": str(made.certificate), "ssl_key_file": str(made.key)}
    return Postgres(folder, "a-password", variation=Variation("postgres-tls", settings))


def rabbitmq_with_tls(folder: Folder, authority: Authority) -> tuple[RabbitMQ, int]:
    """RabbitMQ, not started, and the port on which it speaks TLS."""
    made, port = _certificate(folder, "rabbitmq-tls", authority), ports.free_port()
    settings = {
        "listeners.ssl.default": f"{ports.HOST}:{port}",
        "ssl_options.cacertfile": str(authority.file),
        "ssl_options.certfile": str(made.certificate),
        "ssl_options.keyfile": str(made.key),
        "ssl_options.verify": "verify_none",
        "ssl_options.fail_if_no_peer_cert": "false",
    }
    return RabbitMQ(folder, "a-password", variation=Variation("rabbitmq-tls", settings)), port


@asynccontextmanager
async def tls_proxy(url: str, made: Certificate) -> AsyncIterator[int]:
    """The port of a proxy that ends TLS and forwards to the server at ``url``."""
    server = urlsplit(url)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(server.hostname, server.port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, upstream_writer))
                both.create_task(_copy(upstream_reader, writer))
        finally:
            writer.close()
            upstream_writer.close()

    async with await asyncio.start_server(forward, ports.HOST, 0, ssl=context) as proxy:
        yield proxy.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
    except (ConnectionError, ssl.SSLError):
        writer.close()


def _certificate(folder: Folder, name: str, authority: Authority) -> Certificate:
    home = folder.path / name
    home.mkdir()
    return authority.certify(NAME, home)
