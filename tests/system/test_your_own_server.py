"""docs/guides/your-own-server.md: its servers run as printed, and their users register, log in and come back."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
from stack.ports import free_port
from stack.process import Process
from stack.services import Service
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables

from gateway.http.app_keys import generate

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "your-own-server.md").read_text()
START_SECONDS = 60
KEY, ENTRY = generate("sample")
Command = list[str | Path]


def sample(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def python_sample(folder: Path) -> Command:
    assert f"aiohttp=={version('aiohttp')}" in PAGE
    (folder / "server.py").write_text(sample("python"))
    return [sys.executable, folder / "server.py"]


def node_sample(folder: Path) -> Command:
    node = shutil.which("node")
    if node is None:
        pytest.skip("this machine has no node")
    (folder / "server.mjs").write_text(sample("js"))
    return [node, folder / "server.mjs"]


async def until_it_listens(port: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return await writer.wait_closed()


@pytest.fixture(scope="module")
def gateway(system: Stack) -> Iterator[Service]:
    """A gateway that has the key of the sample. Its clients connect directly."""
    env = {"APP_KEYS": str(ENTRY), "TRUSTED_PROXIES": "none"}
    gateway = system.launch("gateway", label="sample-gateway", env=env)
    yield gateway
    gateway.stop()


@asynccontextmanager
async def running(command: Command, key: str, gateway: Service, system: Stack) -> AsyncIterator[App]:
    """The sample with a key: a page that calls it."""
    port = free_port()
    env = {**os.environ, "HAOMA_URL": gateway.url, "HAOMA_APP_KEY": key, "PORT": str(port)}
    server = Process(f"sample-{port}", system.folder, command, env=env)
    server.spawn()
    try:
        await until_it_listens(port)
        async with App.connect(f"http://127.0.0.1:{port}", system.url("sms-service")) as page:
            yield page
    finally:
        server.stop()


@pytest.fixture(params=[python_sample, node_sample], ids=["python", "node"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """The command that runs a sample."""
    prepare: Callable[[Path], Command] = request.param
    return prepare(tmp_path)


async def log_in(page: App, number: str, purpose: str) -> str:
    """Log in on a page, and return its cookie."""
    sent = await page.call("POST", "/codes", json={"phone": number, "purpose": purpose})
    assert sent.status == 202, sent.body
    fields = {"challenge": sent.body["challenge"], "code": await page.code(number), "purpose": purpose}
    logged_in = await page.call("POST", "/log-in", json=fields)
    assert logged_in.status == 204, logged_in.body
    cookie = logged_in.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Secure"} <= {part.strip() for part in cookie.split(";")}
    return str(cookie.partition(";")[0])


async def test_users_register_and_log_in_through_the_server(
    command: Command, gateway: Service, system: Stack, tables: Tables
) -> None:
    number = fresh_number()
    async with running(command, KEY, gateway, system) as page:
        cookies = [await log_in(page, number, "sign_up")]
        await tables.age(number, 61)
        cookies.append(await log_in(page, number, "sign_in"))
        users = [(await page.call("GET", "/me", headers={"Cookie": cookie})).body for cookie in cookies]
        strangers = await page.call("GET", "/me", headers={"Cookie": "session=unknown"})
        refused = await page.call("POST", "/codes", json={"phone": "12345", "purpose": "sign_up"})
        other_site = await page.call("POST", "/codes", json={}, headers={"Sec-Fetch-Site": "cross-site"})

    assert [user["phone"] for user in users] == [f"+86{number}"] * 2
    assert (strangers.status, other_site.status) == (401, 403)
    assert (refused.status, refused.body["code"]) == (422, "number_refused")
    logs = gateway.logs()
    assert '"app":"sample"' in logs
    assert KEY not in logs


async def test_the_server_passes_on_that_its_key_is_refused(command: Command, gateway: Service, system: Stack) -> None:
    async with running(command, KEY[:-1], gateway, system) as page:
        refused = await page.call("POST", "/codes", json={"phone": fresh_number(), "purpose": "sign_up"})

    assert (refused.status, refused.body["code"]) == (401, "app_key_refused")
