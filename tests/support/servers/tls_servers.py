"""Servers that speak TLS: RabbitMQ itself, and a proxy that ends TLS in front of PostgreSQL and Valkey.

The wheels of these two are built without TLS, so their clients meet OpenSSL in the proxy, and the real server behind it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from stack import ports
from stack.folder import Folder
from stack.servers.private_server import Variation
from stack.servers.rabbitmq import RabbitMQ

from support.servers.certificates import Authority, Certificate

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
NAME = "localhost"
"""The name in the certificates. By its address, 127.0.0.1, the same server has the wrong name."""


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
    asks_first = server.scheme == "postgresql"

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asks_first:
            await _start_tls(reader, writer, context)
        upstream_reader, upstream_writer = await asyncio.open_connection(server.hostname, server.port)
        await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))

    encryption = None if asks_first else context
    async with await asyncio.start_server(forward, ports.HOST, 0, ssl=encryption) as proxy:
        yield proxy.sockets[0].getsockname()[1]


async def _start_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
    """Answer the request of a client of PostgreSQL for TLS, and begin with it."""
    assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST
    writer.write(b"S")
    await writer.drain()
    with suppress(ssl.SSLError, ConnectionError):  # the client does not accept the certificate
        await writer.start_tls(context)


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
