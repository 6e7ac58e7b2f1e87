"""What a client has to survive: one scenario for the samples of all languages."""

from typing import Any, Protocol

import pytest

from support.app import App, fresh_number, wrong
from support.database import Tables
from support.quickstarts.lossy_proxy import LossyProxy

REFRESH = "/v2/sessions/refresh"


class RefusedError(Exception):
    """The client raised its own error, with this code."""

    def __init__(self, code: str, retry_after: int) -> None:
        super().__init__(code)
        self.code, self.retry_after = code, retry_after


class Client(Protocol):
    """A sample that runs. Steps are those of ``drive.js``; their results are JSON."""

    async def do(self, step: str, argument: str = "") -> Any:
        """Raises ``RefusedError``."""

    async def restart(self) -> None:
        """End the client and start it again with the same storage."""


async def play(client: Client, proxy: LossyProxy, app: App, tables: Tables) -> None:
    """Play all of it, for one new user."""
    number = fresh_number()
    await registers_although_answers_are_lost(client, proxy, app, number)
    await refreshes_once_for_many_calls(client, proxy)
    await stays_logged_in_without_a_network(client, proxy)
    await logs_out_if_the_session_has_ended(client, app)
    await tables.age(number, 61)
    await logs_in_again_and_out(client, app, number)


async def registers_although_answers_are_lost(client: Client, proxy: LossyProxy, app: App, number: str) -> None:
    with pytest.raises(RefusedError, match="number_refused"):
        await client.do("requestCode", "12345")
    assert await client.do("loggedIn") is False

    proxy.lose = {"/v2/verifications", "/v2/verifications/check", "/v2/accounts"}
    sent = await client.do("requestCode", number)
    assert (sent["purpose"], sent["hasChallenge"]) == ("sign_up", False)
    assert 1 <= sent["resendAfter"] <= 60
    code = await app.code(number)
    with pytest.raises(RefusedError, match="code_refused"):
        await client.do("enter", wrong(code))
    await client.do("enter", code)

    assert proxy.lose == set()
    assert await client.do("loggedIn") is True
    assert isinstance(await client.do("call"), int)


async def refreshes_once_for_many_calls(client: Client, proxy: LossyProxy) -> None:
    user = await client.do("call")
    before = proxy.sent[REFRESH]
    await client.do("expire")
    proxy.lose = {REFRESH}
    assert await client.do("callAll", "10") == [user] * 10
    assert proxy.sent[REFRESH] - before == 2, "one refresh whose answer was lost, and its repeat"

    await client.restart()
    assert await client.do("callAll", "10") == [user] * 10
    assert proxy.sent[REFRESH] - before == 3


async def stays_logged_in_without_a_network(client: Client, proxy: LossyProxy) -> None:
    await client.do("expire")
    proxy.is_down = True
    with pytest.raises(RefusedError, match="unavailable"):
        await client.do("call")
    proxy.is_down = False

    assert await client.do("loggedIn") is True
    await client.do("call")


async def logs_out_if_the_session_has_ended(client: Client, app: App) -> None:
    await end_session(app, await client.do("token"))
    await client.do("expire")

    with pytest.raises(RefusedError, match="unauthenticated"):
        await client.do("call")
    assert await client.do("loggedIn") is False


async def logs_in_again_and_out(client: Client, app: App, number: str) -> None:
    sent = await client.do("requestCode", number)
    assert sent == {"purpose": "sign_in", "hasChallenge": True, "resendAfter": 60}
    await client.do("enter", await app.code(number))
    token = await client.do("token")
    assert await sessions(app, token) != []

    await client.do("logOut")

    assert await client.do("loggedIn") is False
    with pytest.raises(RefusedError, match="unauthenticated"):
        await client.do("call")


async def end_session(app: App, token: str) -> None:
    """End the session of a token, as the user does on another device."""
    (session,) = (each for each in await sessions(app, token) if each["current"])
    path = f"/v2/sessions/{session['id']}"
    ended = await app.call("DELETE", path, headers={"Authorization": f"Bearer {token}"})
    assert ended.status == 204


async def sessions(app: App, token: str) -> list[dict[str, Any]]:
    listed = await app.call("GET", "/v2/sessions", headers={"Authorization": f"Bearer {token}"})
    assert listed.status == 200, listed.body
    return list(listed.body["sessions"])
