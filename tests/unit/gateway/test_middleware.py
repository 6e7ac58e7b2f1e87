"""What the public port tells about the process: that it accepts requests, and nothing else."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import create_app
from gateway.settings import GatewaySettings

FROM_A_PRIVATE_NETWORK = {"X-Forwarded-For": "10.1.2.3"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [{}, FROM_A_PRIVATE_NETWORK], ids=["loopback", "private network"])
@pytest.mark.parametrize(
    ("path", "status"), [("/livez", 200), ("/readyz", 404), ("/metrics", 404), ("/metrics/", 404), ("/healthz", 404)]
)
async def test_health_and_metrics_are_not_public(method: str, headers: dict[str, str], path: str, status: int) -> None:
    settings = GatewaySettings(environment="development", trusted_proxies="127.0.0.0/8")
    async with (
        TestClient(TestServer(create_app(settings))) as client,
        client.request(method, path, headers=headers) as response,
    ):
        assert response.status == status
