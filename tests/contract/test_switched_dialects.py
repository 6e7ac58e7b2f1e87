"""A new file is a new dialect, and a dialect that is switched off is neither served nor described."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from stack.system import Stack
from support.app import App, fresh_number

import gateway.dialects
from gateway.app import create_app
from gateway.dialect import Dialect
from gateway.dialect_registry import installed_dialects
from gateway.settings import GatewaySettings

TOY = Path(__file__).parent / "toy"
CALLS = {
    "maitian": "/v1/user/login.json",
    "phone_info": "/v1/user/register",
    "register_page": "/v1/register",
    "tel": "/users/signin",
}
"""A POST call of each dialect that has its own format of refusals."""


@asynccontextmanager
async def gateway_with(system: Stack, dialects: tuple[str, ...] = ()) -> AsyncIterator[App]:
    """A gateway in this process, in front of the running services."""
    environ = system.environ
    settings = GatewaySettings.from_env(environ).model_copy(update={"dialects": dialects})
    async with (
        TestServer(create_app(settings)) as server,
        App.connect(str(server.make_url("")).rstrip("/"), system.url("sms-service")) as app,
    ):
        yield app


@pytest.fixture
def toy_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the toy's file to the folder of dialects."""
    path = [*gateway.dialects.__path__, str(TOY)]
    monkeypatch.setattr(gateway.dialects, "__path__", path)
    monkeypatch.setitem(sys.modules, "gateway.dialects.toy", None)
    monkeypatch.delitem(sys.modules, "gateway.dialects.toy")


@pytest.mark.usefixtures("toy_dialect")
async def test_a_new_file_adds_a_dialect(system: Stack) -> None:
    number = fresh_number()
    async with gateway_with(system) as app:
        described = (await app.call("GET", "/openapi.json")).body["paths"]
        assert (await app.call("POST", "/toy/send", json={"mobile": number})).body == {"ok": True}
        code = await app.code(number)
        joined = await app.call("POST", "/toy/join", json={"mobile": number, "code": code, "password": "secret123"})
        logged_in = await app.log_in(number, "secret123")
        refused = await app.call("POST", "/toy/send", json={})
        unknown = await app.call("GET", "/toy/nothing")

    assert {"/toy/send", "/toy/join"} <= described.keys()
    assert joined.body == {"ok": True, "user": int(logged_in.body["user_id"])}
    assert (refused.status, refused.body) == (418, {"ok": False, "why": "parameter_missing"})
    assert unknown.body == {"ok": False, "why": "not_found"}


@pytest.mark.parametrize("name", CALLS)
async def test_the_calls_of_a_dialect_that_is_off_are_not_found(system: Stack, name: str) -> None:
    async with gateway_with(system, tuple(other for other in CALLS if other != name)) as app:
        responses = {of: await app.call("POST", path, json={}) for of, path in CALLS.items()}

    off = responses.pop(name)
    assert (off.status, off.body["code"]) == (404, "not_found")
    assert off.headers["Content-Type"].startswith("application/problem+json")
    assert off.headers["Cache-Control"] == "no-store"
    assert {response.status for response in responses.values()} <= {200, 400, 403}
    assert all("problem" not in response.headers["Content-Type"] for response in responses.values())


@pytest.mark.parametrize("dialect", installed_dialects(), ids=lambda dialect: dialect.name)
async def test_no_path_of_a_dialect_that_is_off_is_served_or_described(system: Stack, dialect: Dialect) -> None:
    others = tuple(other.name for other in installed_dialects() if other is not dialect)
    async with gateway_with(system, others) as app:
        document = (await app.call("GET", "/openapi.json")).body
        for route in dialect.routes:
            reply = await app.call(route.method, re.sub(r"\{.*?\}", "1", route.path))
            if not any(other.owns.fullmatch(route.path) for other in installed_dialects() if other is not dialect):
                assert (reply.status, reply.body["code"]) == (404, "not_found"), route.path
            assert reply.status == 404, route.path
            assert route.path not in document["paths"]

    assert {tag["name"] for tag in document["tags"]} == set(others)


async def test_only_a_dialect_that_is_on_has_a_document(system: Stack) -> None:
    async with gateway_with(system, ("native", "tel")) as app:
        replies = {
            name: await app.call("GET", f"/openapi/{name}.json") for name in ("native", "tel", "maitian", "x", "")
        }

    assert {name for name, reply in replies.items() if reply.status == 200} == {"native", "tel"}
    for name in ("maitian", "x", ""):
        assert (replies[name].status, replies[name].body["code"]) == (404, "not_found")
        assert replies[name].headers["Content-Type"].startswith("application/problem+json")


async def test_an_unknown_dialect_stops_the_start_with_one_line(system: Stack) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway"),
        env={**system.environ, "DIALECTS": "maitian,klingon"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()

    known = ", ".join(dialect.name for dialect in installed_dialects())
    assert errors.decode() == f"gateway cannot start: DIALECTS: unknown klingon; known: {known}\n"
    assert (process.returncode, output) == (2, b"")


async def test_a_path_of_no_dialect_is_refused_with_a_problem_document(app: App) -> None:
    for path in ("/nothing", "/v1/nothing", "/v1/registered", "/usersx"):
        reply = await app.call("POST", path, json={})
        assert (reply.status, reply.body["code"]) == (404, "not_found")


async def test_a_line_end_in_a_path_does_not_change_its_dialect(app: App) -> None:
    reply = await app.call("GET", "/users/1%0A")
    assert (reply.status, reply.body["error"]) == (404, "用户不存在")


@pytest.mark.parametrize("dialect", installed_dialects(), ids=lambda dialect: dialect.name)
async def test_no_call_accepts_head(app: App, dialect: Dialect) -> None:
    for route in dialect.routes:
        reply = await app.call("HEAD", re.sub(r"\{.*?\}", "1", route.path))
        assert reply.status == 405, route.path
