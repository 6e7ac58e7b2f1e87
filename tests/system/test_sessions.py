"""A session at several gateways: when one of them ends it, it soon stops working at all of them.

How soon, five seconds, is tested with a clock of its own (``tests/unit/gateway/test_session_cache.py``).
"""

import pytest
from stack.system import Stack
from support.app import App, fresh_number
from support.native import eventually


@pytest.fixture(scope="module")
async def second_app(system: Stack):
    """The same app with a second gateway."""
    gateway = system.launch("gateway", label="session-gateway")
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    gateway.stop()


async def test_a_revoked_session_stops_working_at_every_gateway(app: App, second_app: App, tables) -> None:
    number = fresh_number()
    user = await app.register(number, "first password")
    arguments = (user["userId"], user["token"], ["13800138000"])
    assert (await second_app.check_contact(*arguments)).body["success"] == "true"
    await tables.age(number, 61)
    await app.forgot(number)
    code = await app.code(number)

    assert "token" in (await app.reset(number, code, "second password")).body

    assert (await app.check_contact(*arguments)).body["error_code"] == "10007"

    async def has_ended() -> bool:
        return (await second_app.check_contact(*arguments)).body.get("error_code") == "10007"

    await eventually(has_ended)
