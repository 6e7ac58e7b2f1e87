"""What the load of the check remembers as acknowledged."""

import asyncio
from typing import Any, cast

import pytest
from clusters.load import Load
from support.app import App, Reply

from shared.errors import ErrorCode, ServiceError
from shared.redis import Script


class FakeApp:
    """Answers every step at once; ``refused`` is the step that it refuses."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused

    async def send_code(self, _: str) -> Reply:
        return self._reply("code")

    async def code(self, _: str) -> str:
        return "123456"

    async def verify(self, *_: str) -> Reply:
        return self._reply("check", {"tmp_token": "a ticket"})

    async def new_user(self, number: str, *_: str) -> Reply:
        return self._reply("register", {"userId": number})

    def _reply(self, step: str, data: Any = None) -> Reply:
        success = "false" if step == self.refused else "true"
        return Reply(200, {}, {"success": success, "data": data})


class FakeScript:
    """Charges every second call, and is unavailable for the others; ``error`` is what it raises instead."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error

    async def __call__(self, *_: object) -> list[int]:
        self.calls += 1
        if self.error or self.calls % 2:
            raise self.error or ServiceError(ErrorCode.UNAVAILABLE)
        return [1, 0]


def load_of(app: FakeApp, script: FakeScript) -> Load:
    return Load(cast("App", app), cast("Script", script), rate=100)


async def run_until_charged(load: Load, script: FakeScript) -> None:
    async with load.running():
        while script.calls < 4:
            await asyncio.sleep(0)


async def test_what_every_step_acknowledged_is_remembered() -> None:
    script = FakeScript()
    load = load_of(FakeApp(), script)
    await run_until_charged(load, script)

    acknowledged = load.acknowledged
    assert set(acknowledged.codes) == set(acknowledged.accounts) == load.received != set()
    assert acknowledged.charges.total() == script.calls // 2
    assert load.operations.failures(0, float("inf")) == script.calls - script.calls // 2


async def test_a_user_whose_step_is_refused_has_no_account() -> None:
    script = FakeScript()
    load = load_of(FakeApp(refused="register"), script)
    await run_until_charged(load, script)
    assert load.received
    assert load.acknowledged.accounts == {}


async def test_an_error_of_the_load_itself_ends_the_check() -> None:
    script = FakeScript(error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await run_until_charged(load_of(FakeApp(), script), script)
