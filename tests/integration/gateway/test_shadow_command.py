"""The command ``shadow`` as a process: signals, kills, what it refuses, and its exit statuses."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support.shadow import run_shadow
from support.shadow_conversation import DONE, line

CALLS = 2_500
PART = 400
BUSY = {"success": "false"}
WAIT_SECONDS = 60
STOP_SECONDS = 60


class CountingGateway:
    """Answers every call with success, and counts calls by their tokens."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.url = ""
        self.busy = self.hang_ups = 0
        """How many calls are refused for load, and how many get no answer, before the others are answered."""
        self.has_inbox = False

    async def answer(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            self.calls[request.headers["Authorization"]] += 1
        if self.has_inbox and request.path == "/inbox/messages":
            return web.json_response({"messages": []})
        if self.busy > 0:
            self.busy -= 1
            return web.json_response(BUSY, status=503, headers={"Retry-After": "0"})
        if self.hang_ups > 0 and request.transport is not None:
            self.hang_ups -= 1
            request.transport.abort()
        return web.json_response(DONE)

    async def has_answered(self, count: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while self.calls.total() < count:
                await asyncio.sleep(0.01)


@pytest.fixture
async def gateway() -> AsyncIterator[CountingGateway]:
    counting, app = CountingGateway(), web.Application()
    app.router.add_route("*", "/{path:.*}", counting.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    counting.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield counting
    await runner.cleanup()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Look-ups of many users."""
    file = tmp_path / "calls.ndjson"
    lines = (line("GET", "/v2/me", DONE, headers={"Authorization": f"Bearer user-{each}"}) for each in range(CALLS))
    file.write_bytes(b"".join(lines))
    return file


async def start(recording: Path, gateway: CountingGateway) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "shadow", str(recording), "--haoma", gateway.url, "--rate", "1000"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_run_that_a_signal_stopped_goes_on_and_makes_no_call_twice(
    gateway: CountingGateway, recording: Path, number: signal.Signals
) -> None:
    process = await start(recording, gateway)
    await gateway.has_answered(PART)
    process.send_signal(number)
    output, errors = await asyncio.wait_for(process.communicate(), STOP_SECONDS)

    assert (process.returncode, output) == (1, b"")
    assert errors.startswith(b"shadow: stopped: interrupted after line ")
    assert PART <= gateway.calls.total() < CALLS

    status, report, errors_of_second = await run_shadow(recording, "--haoma", gateway.url)

    assert (status, errors_of_second) == (0, "")
    assert report.startswith(f"{CALLS} calls read, {CALLS} compared: native {CALLS}\n0 unexplained differences")
    assert set(gateway.calls.values()) == {1}
    assert len(gateway.calls) == CALLS
    assert not recording.with_name("calls.ndjson.shadow").exists()


async def test_after_a_kill_at_most_a_thousand_calls_are_made_again(gateway: CountingGateway, recording: Path) -> None:
    process = await start(recording, gateway)
    await gateway.has_answered(1_000 + PART)
    process.kill()
    await process.communicate()

    status, report, _ = await run_shadow(recording, "--haoma", gateway.url)

    assert status == 0
    assert report.startswith(f"{CALLS} calls read, {CALLS} compared")
    assert len(gateway.calls) == CALLS
    assert 0 < gateway.calls.total() - CALLS <= 1_000


async def test_a_run_against_another_system_needs_a_word(gateway: CountingGateway, recording: Path) -> None:
    process = await start(recording, gateway)
    await gateway.has_answered(PART)
    process.terminate()
    await process.communicate()
    other = gateway.url.replace("127.0.0.1", "localhost")

    status, _, errors = await run_shadow(recording, "--haoma", other)
    assert status == 1
    assert "is of another run: use --restart" in errors

    status, report, _ = await run_shadow(recording, "--haoma", other, "--restart")
    assert (status, f"{CALLS} compared" in report) == (0, True)


async def test_differences_and_broken_lines_end_with_three_and_go_to_the_details(
    gateway: CountingGateway, tmp_path: Path
) -> None:
    bearer = {"Authorization": "Bearer user"}
    differing = line("GET", "/v2/sessions", {"success": "true", "more": 1}, headers=bearer)
    (tmp_path / "calls").write_bytes(b"\xff\n" + line("GET", "/v2/me", DONE, headers=bearer) + b'{"cut\n' + differing)

    status, report, errors = await run_shadow(
        *(tmp_path / "calls", "--haoma", gateway.url, "--details", str(tmp_path / "details"), "--json")
    )

    assert (status, errors) == (3, "")
    assert json.loads(report)["broken"] == {"not_utf8": [1], "json_broken": [3]}
    assert list(map(json.loads, (tmp_path / "details").read_text().splitlines())) == [
        {"line": 1, "broken": "not_utf8"},
        {"line": 3, "broken": "json_broken"},
        {
            "line": 4,
            "call": "native list_sessions",
            "field": "more (not of the contract)",
            "kind": "missing",
            "recorded": "1",
            "haoma": "nothing",
        },
    ]


async def test_a_call_that_haoma_is_too_busy_for_is_made_again_and_one_without_an_answer_is_named(
    gateway: CountingGateway, tmp_path: Path
) -> None:
    gateway.busy, gateway.hang_ups = 3, 2  # a GET on a connection that was used before is repeated once
    (tmp_path / "calls").write_bytes(
        b"".join(line("GET", "/v2/me", DONE, headers={"Authorization": f"Bearer {each}"}) for each in range(3))
    )

    status, report, _ = await run_shadow(tmp_path / "calls", "--haoma", gateway.url, "--concurrency", "1", "--json")

    assert status == 3
    (found,) = json.loads(report)["differences"]
    assert (found["field"], found["recorded"], found["haoma"]) == ("(answer)", "HTTP 200", "nothing")
    assert (gateway.calls["Bearer 0"], gateway.calls["Bearer 1"], gateway.calls["Bearer 2"]) == (5, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--copy", "http://127.0.0.1:9"], "shadow: stopped: --copy needs --inbox, and no other run does\n"),
        (
            ["--haoma", "http://127.0.0.1:9", "--expect", "missing"],
            "shadow: stopped: [Errno 2] No such file or directory",
        ),
        (["--haoma", "http://127.0.0.1:9", "--dialects", "nothing"], "shadow: stopped: unknown nothing; known: "),
        (["--haoma", "http://127.0.0.1:9", "--rate", "0"], "expected a number greater than 0"),
        (["--haoma", "http://127.0.0.1:9", "--concurrency", "0"], "expected a number of calls from 1 to 200"),
        (["--haoma", "gateway:8080"], "expected a URL that begins with http:// or https://"),
        (["--copy", "http://", "--inbox", "http://127.0.0.1:9"], "expected a URL that begins with http:// or https://"),
        ([], "one of the arguments --haoma --copy is required"),
    ],
)
async def test_what_cannot_be_is_said_in_a_line(recording: Path, arguments: list[str], message: str) -> None:
    status, output, errors = await run_shadow(recording, *arguments)
    assert status in {1, 2}
    assert output == ""
    assert message in errors


@pytest.mark.parametrize("inbox", ["http://127.0.0.1:9", None])
async def test_without_an_inbox_a_system_is_no_copy_and_no_call_is_made(
    gateway: CountingGateway, recording: Path, inbox: str | None
) -> None:
    status, _, errors = await run_shadow(recording, "--copy", gateway.url, "--inbox", inbox or gateway.url)
    assert (status, gateway.calls.total()) == (1, 0)
    assert "has no SMS inbox" in errors


async def test_a_gateway_that_people_use_is_no_copy_even_beside_an_inbox(
    gateway: CountingGateway, recording: Path
) -> None:
    gateway.has_inbox = True

    status, _, errors = await run_shadow(recording, "--copy", gateway.url, "--inbox", gateway.url)

    assert (status, gateway.calls.total()) == (1, 0)
    assert "is not in development: --copy would change what people use" in errors


async def test_a_recording_that_is_missing_is_named(tmp_path: Path) -> None:
    status, _, errors = await run_shadow(tmp_path / "missing", "--haoma", "http://127.0.0.1:9")
    assert (status, "No such file or directory" in errors, errors.count("\n")) == (1, True, 1)
