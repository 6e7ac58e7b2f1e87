"""Dialects come and go by themselves: one more file is one more dialect, and one that is off is not there."""

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
"""A POST of each dialect with a contract of its own; a dialect that speaks in problem documents is not told apart."""


@asynccontextmanager
async def gateway_with(system: Stack, dialects: tuple[str, ...] = ()) -> AsyncIterator[App]:
    """A gateway of this process in front of the running services."""
    environ = system.environ
    names = ("environment", "service_token", "sealed_number_keys", "auth_url", "sms_url", "contacts_url")
    settings = GatewaySettings(**{name: environ[name.upper()] for name in names}, dialects=dialects)
    async with (
        TestServer(create_app(settings)) as server,
        App.connect(str(server.make_url("")).rstrip("/"), system.url("sms-service")) as app,
    ):
        yield app


@pytest.fixture
def one_more_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of dialects with the toy's file in it."""
    path = [*gateway.dialects.__path__, str(TOY)]
    monkeypatch.setattr(gateway.dialects, "__path__", path)
    monkeypatch.setitem(sys.modules, "gateway.dialects.toy", None)
    monkeypatch.delitem(sys.modules, "gateway.dialects.toy")


@pytest.mark.usefixtures("one_more_file")
async def test_a_dialect_is_added_by_adding_its_file(system: Stack) -> None:
    number = fresh_number()
    async with gateway_with(system) as app:
        described = (await app.call("GET", "/openapi.json")).body["paths"]
        assert (await app.call("POST", "/toy/send", json={"mobile": number})).body == {"ok": True}
        code = await app.code(number)
        joined = await app.call("POST", "/toy/join", json={"mobile": number, "code": code, "password": "secret123"})
        logged_in = await app.log_in(number, "secret123")
        refused = await app.call("POST", "/toy/send", json={})
        nowhere = await app.call("GET", "/toy/nothing")

    assert {"/toy/send", "/toy/join"} <= described.keys()
    assert joined.body == {"ok": True, "user": int(logged_in.body["user_id"])}
    assert (refused.status, refused.body) == (418, {"ok": False, "why": "parameter_missing"})
    assert nowhere.body == {"ok": False, "why": "not_found"}


@pytest.mark.parametrize("name", CALLS)
async def test_a_dialect_that_is_off_is_not_there(system: Stack, name: str) -> None:
    async with gateway_with(system, tuple(other for other in CALLS if other != name)) as app:
        answers = {of: await app.call("POST", path, json={}) for of, path in CALLS.items()}

    off = answers.pop(name)
    assert (off.status, off.body["code"]) == (404, "not_found")
    assert off.headers["Content-Type"].startswith("application/problem+json")
    assert off.headers["Cache-Control"] == "no-store"
    assert {answer.status for answer in answers.values()} <= {200, 400, 403}
    assert all("problem" not in answer.headers["Content-Type"] for answer in answers.values())


@pytest.mark.parametrize("dialect", installed_dialects(), ids=lambda dialect: dialect.name)
async def test_no_path_of_a_dialect_that_is_off_is_served_or_described(system: Stack, dialect: Dialect) -> None:
    others = tuple(other.name for other in installed_dialects() if other is not dialect)
    async with gateway_with(system, others) as app:
        told = (await app.call("GET", "/openapi.json")).body
        for route in dialect.routes:
            reply = await app.call(route.method, re.sub(r"\{.*?\}", "1", route.path))
            if not any(other.owns.fullmatch(route.path) for other in installed_dialects() if other is not dialect):
                assert (reply.status, reply.body["code"]) == (404, "not_found"), route.path
            assert reply.status == 404, route.path
            assert route.path not in told["paths"]

    assert [tag["name"] for tag in told["tags"]] == list(others)


async def test_a_dialect_that_nobody_knows_stops_the_start_with_one_line(system: Stack) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway"),
        env={**system.environ, "DIALECTS": "maitian,klingon"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, said = await process.communicate()

    known = ", ".join(dialect.name for dialect in installed_dialects())
    assert said.decode() == f"gateway cannot start: DIALECTS: unknown klingon; known: {known}\n"
    assert (process.returncode, told) == (2, b"")


async def test_an_unknown_path_of_nobodys_is_a_problem_document(app: App) -> None:
    for path in ("/", "/nothing", "/v1/nothing", "/v1/registered", "/usersx"):
        reply = await app.call("POST", path, json={})
        assert (reply.status, reply.body["code"]) == (404, "not_found")


async def test_a_line_end_in_a_path_changes_nothing_about_whose_it_is(app: App) -> None:
    reply = await app.call("GET", "/users/1%0A")
    assert (reply.status, reply.body["error"]) == (404, "用户不存在")


@pytest.mark.parametrize("dialect", installed_dialects(), ids=lambda dialect: dialect.name)
async def test_no_call_has_an_effect_by_head(app: App, dialect: Dialect) -> None:
    for route in dialect.routes:
        reply = await app.call("HEAD", re.sub(r"\{.*?\}", "1", route.path))
        assert reply.status == 405, route.path
