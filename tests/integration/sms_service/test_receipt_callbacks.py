"""A provider's callback through the gateway: public, limited in size, and verified by sms-service."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from support.sms import fresh_database

from gateway.app import create_app
from gateway.receipt_webhook import MAX_REFUSED
from gateway.settings import GatewaySettings
from shared.webhooks.signature import WebhookKey
from sms_service.app import create_api
from sms_service.settings import SmsSettings

SECRET = "whsec_c2VjcmV0"
CONFIG_FILE = """\
public_url = "https://api.example.com"
[senders.own]
type = "webhook"
url = "http://127.0.0.1:1/"
secret_env = "TEST_HOOK_SECRET"
[[routes]]
prefix = "+"
senders = ["own"]
"""


@dataclass(frozen=True)
class Provider:
    """A provider that posts receipts."""

    gateway: str
    http: aiohttp.ClientSession

    async def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str]:
        async with self.http.post(self.gateway + path, data=body, headers=headers) as response:
            return response.status, await response.text()


@pytest.fixture(scope="module")
async def provider(
    postgres_url: str, redis_url: str, amqp_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Provider]:
    file: Path = tmp_path_factory.mktemp("config") / "sms.toml"
    file.write_text(CONFIG_FILE)
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("TEST_HOOK_SECRET", SECRET)
        settings = SmsSettings(
            environment="development",
            postgres_url=postgres_url,
            redis_url=redis_url,
            amqp_url=amqp_url,
            sms_database=await stack.enter_async_context(fresh_database(postgres_url)),
            caller_limits="off",
            sms_config_file=file,
        )
        api = await stack.enter_async_context(TestServer(create_api(settings)))
        proxy, sms_url = "127.0.0.1/32", str(api.make_url(""))
        gateway = create_app(GatewaySettings(environment="development", sms_url=sms_url, trusted_proxies=proxy))
        server = await stack.enter_async_context(TestServer(gateway))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Provider(str(server.make_url("")).rstrip("/"), http)


def body(status: str = "delivered") -> bytes:
    return json.dumps({"id": str(uuid4()), "status": status}).encode()


async def test_a_signed_callback_is_accepted_and_so_is_its_repetition(provider: Provider) -> None:
    report = body()
    headers = WebhookKey(SECRET).headers("evt-1", report)
    for _ in range(2):
        assert await provider.post("/hooks/sms/own", report, headers) == (200, "{}")


@pytest.mark.parametrize("headers", [{}, {"webhook-signature": "v1,AAAA"}, {"webhook-signature": "é" * 2000}])
async def test_a_forged_callback_is_401(provider: Provider, headers: dict[str, str]) -> None:
    status, problem = await provider.post("/hooks/sms/own", body(), headers)
    assert (status, json.loads(problem)["code"]) == (401, "unauthenticated")
    status, _ = await provider.post("/hooks/sms/own", body(), WebhookKey("other").headers("evt-1", b"x"))
    assert status == 401


@pytest.mark.parametrize(
    ("forger", "same_host", "neighbor"),
    [
        ("203.0.113.9", "203.0.113.9", "203.0.113.10"),
        ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"),
    ],
)
async def test_refused_callbacks_count_on_their_address_and_sender_alone(
    provider: Provider, forger: str, same_host: str, neighbor: str
) -> None:
    async def status(sender: str, address: str) -> int:
        return (await provider.post(f"/hooks/sms/{sender}", body(), {"x-forwarded-for": address}))[0]

    assert {await status("unknown", forger) for _ in range(MAX_REFUSED + 1)} == {404}
    assert {await status("own", forger) for _ in range(MAX_REFUSED)} == {401}
    assert (await status("own", same_host), await status("own", neighbor)) == (429, 401)


@pytest.mark.parametrize(
    ("path", "report", "expected"),
    [
        ("/hooks/sms/unknown", b"{}", 404),
        ("/hooks/sms/Own", b"{}", 404),
        ("/hooks/sms/", b"{}", 404),
        ("/hooks/sms/own", b"x" * 70_000, 400),
        ("/hooks/sms/own?" + "q" * 3000, b"{}", 400),
    ],
)
async def test_an_unknown_path_and_a_request_that_is_too_long_are_refused(
    provider: Provider, path: str, report: bytes, expected: int
) -> None:
    assert (await provider.post(path, report))[0] == expected


async def test_a_long_report_is_accepted_and_a_get_is_not(provider: Provider) -> None:
    report = json.dumps({"id": str(uuid4()), "status": "failed", "more": "x" * 60_000}).encode()
    headers = WebhookKey(SECRET).headers("evt-2", report)
    assert await provider.post("/hooks/sms/own", report, headers) == (200, "{}")
    async with provider.http.get(provider.gateway + "/hooks/sms/own") as response:
        assert response.status == 405
