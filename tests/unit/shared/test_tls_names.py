"""A certificate with another name, or of an unknown authority, ends the start of every client at once, in one line."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from support.servers.certificates import Authority
from support.servers.tls_servers import NAME, tls_proxy

from shared import amqp, postgres, redis
from shared.process.startup import UnreachableError

PASSWORD = "the-password"
FORMS = {
    "postgresql": ("POSTGRES_URL", "/auth?sslmode=verify-full&sslrootcert="),
    "amqps": ("AMQP_URL", "/%2F?cafile="),
    "rediss": ("REDIS_URL", "/0?ssl_ca_certs="),
    "rediss+sentinel": ("REDIS_URL", "/haoma/0?ssl_ca_certs="),
    "rediss+cluster": ("REDIS_URL", "/0?ssl_ca_certs="),
}
NO_SERVER = "127.0.0.1:1"
"""What is behind the proxy is never asked, because no client accepts the certificate."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def opened(url: str) -> AbstractAsyncContextManager[object]:
    """The client of a service for the server at a URL."""
    if url.startswith("postgresql"):
        return postgres.pool(url, "auth")
    return amqp.connect(url, "test") if url.startswith("amqps") else redis.client(url)


async def refusal(scheme: str, host: str, served: Authority, trusted: Path, folder: Path) -> str:
    """The line with which a start ends."""
    variable, rest = FORMS[scheme]
    async with tls_proxy(f"{scheme}://{NO_SERVER}", served.certify(NAME, folder)) as port:
        with pytest.raises(UnreachableError) as report:
            async with opened(f"{scheme}://app:{PASSWORD}@{host}:{port}{rest}{trusted}"):
                pass
    line = str(report.value)
    assert f"at {host}:{port}: its certificate is not accepted (" in line
    assert line.endswith(f": correct it, or {variable}")
    assert "\n" not in line
    assert PASSWORD not in line
    return line


@pytest.mark.parametrize("scheme", FORMS)
async def test_a_wrong_name_is_refused_at_once(scheme: str, authority: Authority, tmp_path: Path) -> None:
    line = await refusal(scheme, "127.0.0.1", authority, authority.file, tmp_path)
    assert "(IP address mismatch, certificate is not valid for '127.0.0.1')" in line


@pytest.mark.parametrize("scheme", FORMS)
async def test_an_unknown_authority_is_refused_at_once(scheme: str, authority: Authority, tmp_path: Path) -> None:
    unknown = Authority(tmp_path / "unknown")
    line = await refusal(scheme, NAME, authority, unknown.file, tmp_path)
    assert "(unable to get local issuer certificate)" in line
