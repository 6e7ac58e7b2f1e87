"""The files for nginx: a recorder of calls, a mirror, and a cutover by a share of all numbers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from stack.system import Stack
from support.app import App, fresh_number
from support.nginx import nginx
from support.recordings import RecordingApp
from support.shadow import run_shadow

from gateway.shadow.recorded.recording import RecordedCall, read_call

WAIT_SECONDS = 30
RECORDER = "include recorder.conf; upstream old {{ server {}; }}"
RECORDED = """
    location / {
        client_max_body_size 512k; client_body_buffer_size 512k; client_body_in_single_buffer on;
        proxy_set_header Accept-Encoding "";
        js_body_filter recorder.collect buffer_type=buffer;
        access_log calls.ndjson recorded_call if=$recorded_call;
        proxy_pass http://old;
    }
"""
PARTS = 100
"""How many bytes are sent a few at a time."""
MANY = 1_000
KEY = "a secret of the operator"


class BackEnd:
    """Answers with its name and with what it was sent, in parts that end within a character."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[tuple[str, str, bytes]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        self.requests.append((request.method, request.raw_path, content))
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Authorization": "Bearer t"})
        response.set_cookie("session", "t")
        await response.prepare(request)
        body = json.dumps({"by": self.name, "sent": content.decode()}, ensure_ascii=False).encode()
        for start in range(0, min(PARTS, len(body)), 5):
            await response.write(body[start : min(start + 5, PARTS)])
        await response.write(body[PARTS:])
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port. Yields host and port."""
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
        await runner.cleanup()


async def recorded_calls(folder: Path, count: int) -> list[RecordedCall]:
    """The recorded calls, as soon as there are so many: nginx writes a line after the client has the answer."""
    async with asyncio.timeout(WAIT_SECONDS):
        while len(lines := (folder / "calls.ndjson").read_bytes().splitlines()) < count:
            await asyncio.sleep(0.02)
    return [read_call(line) for line in lines]


async def test_the_recorder_writes_each_call_with_its_answer(tmp_path: Path) -> None:
    old = BackEnd("old")
    async with (
        old.serving() as address,
        nginx(tmp_path, RECORDER.format(address), RECORDED) as url,
        aiohttp.ClientSession() as http,
    ):
        for body in ('{"phone":"号码"}', "x" * 100_000, ""):
            async with http.post(
                url + "/users?a=%E5%8F%B7&b=1", data=body.encode(), headers={"Cookie": "session=s"}
            ) as r:
                assert (await r.json())["sent"] == body
        calls = await recorded_calls(tmp_path, 3)

    for call, (method, path, content) in zip(calls, old.requests, strict=True):
        assert (call.method, call.path, call.content) == (method, path, content)
        assert (call.address, call.headers["cookie"]) == ("127.0.0.1", "session=s")
        assert json.loads(call.response.content) == {"by": "old", "sent": content.decode()}
        assert call.response.headers["authorization"] == "Bearer t"
        assert call.response.headers["set-cookie"].startswith("session=t")


async def test_what_nginx_recorded_before_haoma_is_what_haoma_answers(system: Stack, tmp_path: Path) -> None:
    gateway = system.url("gateway").removeprefix("http://")
    async with (
        nginx(tmp_path, RECORDER.format(gateway), RECORDED) as url,
        App.connect(url, system.url("sms-service")) as app,
    ):
        user = await app.register(fresh_number(), "secret123")
        bearer = {"Authorization": f"Bearer {user['token']}"}
        await app.call("GET", "/v2/me", headers=bearer)
        await app.call("GET", f"/users/{user['userId']}", headers={"Cookie": f"session={user['token']}"})
        await app.call("POST", "/v1/register/checkPhone", data={"phone": fresh_number()})
        await recorded_calls(tmp_path, 6)

        status, output, errors = await run_shadow(tmp_path / "calls.ndjson", "--haoma", system.url("gateway"))

    assert status == 0, output + errors
    assert output.startswith("6 calls read, 2 compared: native 1, tel 1\n")


async def test_a_mirror_gets_each_request_and_the_client_the_answer_of_the_old_back_end(tmp_path: Path) -> None:
    old, haoma = BackEnd("old"), BackEnd("haoma")
    async with (
        old.serving() as old_address,
        haoma.serving() as haoma_address,
        nginx(tmp_path, upstreams(old_address, haoma_address), "include mirror.conf;") as url,
        aiohttp.ClientSession() as http,
    ):
        async with http.post(url + "/users?a=1", data=b"body") as response:
            assert (await response.json())["by"] == "old"
        async with asyncio.timeout(WAIT_SECONDS):
            while not haoma.requests:
                await asyncio.sleep(0.02)

    assert haoma.requests == old.requests == [("POST", "/users?a=1", b"body")]


def upstreams(old: str, haoma: str) -> str:
    return f"upstream old {{ server {old}; }} upstream haoma {{ server {haoma}; }}"


class Cutover:
    """nginx with the files of the cutover, before an old back end and a new one. Each call brings its share."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def moved(
        self, percent: int, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> bool:
        """Whether a call gets to Haoma. Fails if its body does not arrive."""
        sent = {"Percent": str(percent), **(headers or {})}
        async with self._http.request(method, self._url + path, headers=sent, **options) as response:
            answer = await response.json()
        assert answer["sent"] == json.dumps(options["json"]) if "json" in options else True
        return bool(answer["by"] == "haoma")

    async def moved_numbers(self, percent: int, numbers: list[str]) -> set[str]:
        """Which of the numbers are sent to Haoma."""
        path = "/v1/register/checkPhone"
        return {number for number in numbers if await self.moved(percent, "POST", path, json={"phone": number})}


@pytest.fixture(scope="module")
async def cutover(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cutover]:
    old, haoma = BackEnd("old"), BackEnd("haoma")
    server = f'set $cutover_key "{KEY}"; set $cutover_percent $http_percent; include cutover.conf;'
    async with old.serving() as old_address, haoma.serving() as haoma_address, aiohttp.ClientSession() as http:
        before = upstreams(old_address, haoma_address) + " js_import cutover from cutover.js;"
        async with nginx(tmp_path_factory.mktemp("cutover"), before, server) as url:
            yield Cutover(http, url)


async def test_a_share_of_all_numbers_moves_and_stays_when_it_grows(cutover: Cutover) -> None:
    numbers = [fresh_number() for _ in range(MANY)]

    ten, thirty = await cutover.moved_numbers(10, numbers), await cutover.moved_numbers(30, numbers)

    assert 0.06 * MANY < len(ten) < 0.14 * MANY
    assert 0.24 * MANY < len(thirty) < 0.36 * MANY
    assert ten < thirty
    assert await cutover.moved_numbers(0, numbers[:50]) == set()
    assert await cutover.moved_numbers(100, numbers[:50]) == set(numbers[:50])


async def test_every_call_and_spelling_of_a_number_goes_the_same_way(cutover: Cutover) -> None:
    for _ in range(20):
        number = fresh_number()
        tel = {"tel": {"dialCode": 86, "number": int(number)}}
        calls = [
            ("GET", f"/v1/user/register/verify_code.json?source=a&phone_number={number}", {}),
            ("GET", f"/v1/user/register/verify_code.json?source=a&phone_number=%2B86+{number}", {}),
            ("POST", "/v1/user/login.json", {"json": {"source": "a", "phone_number": f"+86 {number}"}}),
            ("POST", "/v1/user/login.json", {"data": {"source": "a", "phone_number": f"0086{number}"}}),
            ("POST", "/v1/user/sendRegisterMessage", {"json": {"phone": f"86-{number}"}}),
            ("POST", "/v1/user/sendRegisterMessage", {"json": {"phone": number, "countryCode": "+86"}}),
            ("POST", "/v1/register", {"json": {"phone": f"{number[:3]} {number[3:7]} {number[7:]}"}}),
            (
                "POST",
                "/v1/register",
                {"json": {"phone": "＋８６" + "".join(chr(ord(each) + 0xFEE0) for each in number)}},
            ),
            ("POST", "/users/signin", {"json": tel}),
            ("POST", "/users/signin", {"data": {"tel[dialCode]": "86", "tel[number]": number}}),
        ]
        moved = [await cutover.moved(50, method, path, **options) for method, path, options in calls]
        assert len(set(moved)) == 1, moved


async def test_a_token_goes_where_it_was_issued_and_new_apps_to_haoma(cutover: Cutover, app: App) -> None:
    recorder = RecordingApp(app.http, app.gateway, app.sms)
    number = fresh_number()
    sent = await recorder.call("POST", "/v1/user/sendRegisterMessage", json={"phone": number})
    user = await app.register(fresh_number(), "secret123")
    for percent in (0, 100):
        for token, is_ours in ((user["token"], True), ("0123456789abcdef0123456789abcdef", False)):
            bearer, cookie = {"Authorization": f"Bearer {token}"}, {"Cookie": f"other=1; session={token}"}
            contacts = {"userId": 1, "token": token, "phoneNumbers": [number]}
            assert await cutover.moved(percent, "GET", "/users/1", bearer) is is_ours
            assert await cutover.moved(percent, "GET", "/users/1", cookie) is is_ours
            path = "/v1/user/register/check_contact.json"
            assert await cutover.moved(percent, "POST", path, json=contacts) is is_ours
        for info, is_ours in ((sent.body["result"], True), ("T0RZLi5xenktc3AtdG9rZW4", False)):
            assert await cutover.moved(percent, "POST", "/v1/user/register", json={"phoneInfo": info}) is is_ours
        assert await cutover.moved(percent, "POST", "/v2/sessions", json={"phone": number})
