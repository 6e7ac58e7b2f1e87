"""What every process measures of itself: its name, its refusals, its event loop, and whether its backends answer."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY, generate_latest
from structlog.testing import capture_logs

from shared.process import backends, loop_lag
from shared.process.backends import watching_backends
from shared.process.loop_lag import measuring_loop_lag
from shared.process.metrics import count_refusal, identify
from shared.process.version import VERSION


def test_a_process_tells_its_name_and_version_and_no_time_of_creation() -> None:
    identify("test-process")
    assert REGISTRY.get_sample_value("haoma_build_info", {"process": "test-process", "version": VERSION}) == 1
    count_refusal("cooldown")
    assert b"_created" not in generate_latest()


def test_a_refusal_is_counted_by_route_contract_and_code() -> None:
    labels = {"route": "/test", "dialect": "toy", "code": "cooldown"}
    before = REGISTRY.get_sample_value("haoma_refusals_total", labels) or 0
    count_refusal("cooldown", "/test", "toy")
    assert REGISTRY.get_sample_value("haoma_refusals_total", labels) == before + 1


async def test_work_that_keeps_the_thread_shows_as_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    def total() -> float:
        return REGISTRY.get_sample_value("haoma_event_loop_lag_seconds_sum") or 0.0

    monkeypatch.setattr(loop_lag, "INTERVAL_SECONDS", 0.01)
    async with measuring_loop_lag():
        await asyncio.sleep(0)  # the timer starts
        before = total()
        time.sleep(0.3)
        while total() < before + 0.25:
            await asyncio.sleep(0.01)


async def test_a_backend_that_fails_or_hangs_is_down_until_it_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(backends, "CHECK_SECONDS", 0.01)

    async def fail() -> None:
        raise ConnectionError

    async def hang() -> None:
        await asyncio.Event().wait()

    async def answer() -> None:
        return

    checks = {"test": answer}

    async def until(value: float) -> None:
        while REGISTRY.get_sample_value("haoma_backend_up", {"backend": "test"}) != value:
            await asyncio.sleep(0.001)

    async with watching_backends(lambda: checks):
        await until(1)
        for check in (fail, hang):
            checks["test"] = check
            await until(0)
            checks["test"] = answer
            await until(1)


@pytest.mark.parametrize(
    ("answers", "logged"),
    [
        ([True, True, False, False, True], [False, True]),
        ([False, True, True], []),
        ([False, False, True], [False, True]),
        ([True, False], [False]),
    ],
    ids=["away and back", "starts with this process", "starts late", "goes away"],
)
async def test_what_is_logged_of_a_backend(
    answers: list[bool], logged: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "INTERVAL_SECONDS", 0.0)
    left, all_asked = iter(answers), asyncio.Event()

    async def check() -> None:
        is_up = next(left, None)
        if is_up is None:
            all_asked.set()
            await asyncio.Event().wait()
        if not is_up:
            raise ConnectionError

    with capture_logs() as lines:
        async with watching_backends(lambda: {"test": check}):
            await all_asked.wait()
    changes = [line for line in lines if line["event"] == "backend.changed"]
    assert [line["up"] for line in changes] == logged
    assert all(line["error"] == ("" if line["up"] else "ConnectionError") for line in changes)
