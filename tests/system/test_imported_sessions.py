"""A token that another system issued works in the contracts until its end, and dies everywhere when it is revoked."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number
from support.database import Tables
from support.moving import auth_command, import_users
from support.native import call

COOKIE = "connect.sid"
"""The cookie of the other system, which the gateways of this test read beside ``session``."""
WITHIN_SECONDS = 5.0
Use = Callable[[App, dict[str, Any]], Awaitable[bool]]
"""Whether a call with the token of a user is answered as one of a living session."""


def jwt() -> str:
    """A token that looks like one of our access tokens, and is signed by someone else."""
    return f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(32)}"


TOKENS: dict[str, Callable[[], str]] = {
    "uuid": lambda: "-".join(secrets.token_hex(length // 2) for length in (8, 4, 4, 4, 12)),
    "sanctum": lambda: f"12|{secrets.token_hex(20)}",
    "base64": lambda: secrets.token_urlsafe(24) + "+/==",
    "jwt": jwt,
    "signed cookie": lambda: f"s:{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(20)}+/=",
}


def user_of(token: str, **session: Any) -> dict[str, Any]:
    end = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    return {
        "id": secrets.randbelow(2**46) + 1,
        "phone": fresh_number(),
        "sessions": [{"token": token, "expires_at": end, "client": "old app"} | session],
    }


@pytest.fixture(scope="module")
async def gateways(system: Stack) -> AsyncIterator[tuple[App, App]]:
    """Two gateways that read the cookie of the other system."""
    names = ("moved-gateway-1", "moved-gateway-2")
    started = [system.launch("gateway", label=name, env={"SESSION_COOKIES": COOKIE}) for name in names]
    sms = system.url("sms-service")
    async with App.connect(started[0].url, sms) as first, App.connect(started[1].url, sms) as second:
        yield first, second
    for gateway in started:
        gateway.stop()


async def imported(system: Stack, folder: Path, *users: dict[str, Any]) -> None:
    file = folder / "users.ndjson"
    await asyncio.to_thread(file.write_text, "\n".join(map(json.dumps, users)))
    status, output = await import_users(system, file)
    assert status == 0, output


def token_of(user: dict[str, Any]) -> str:
    return str(user["sessions"][0]["token"])


def bearer(user: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(user)}"}


async def maitian(app: App, user: dict[str, Any]) -> bool:
    reply = await app.check_contact(user["id"], token_of(user), ["13800138000"])
    return reply.body.get("success") == "true"


async def maitian_form(app: App, user: dict[str, Any]) -> bool:
    fields = [("source", "old"), ("userId", str(user["id"])), ("token", token_of(user))]
    fields += [("phoneNumbers[]", f"138{n:08d}") for n in range(1_000)]  # too long to be parsed for a stranger
    reply = await app.call("POST", "/v1/user/register/check_contact.json", data=fields)
    return reply.body.get("success") == "true"


async def maitian_long_json(app: App, user: dict[str, Any]) -> bool:
    fields = {
        "source": "old", "userId": user["id"], "token": token_of(user),
        "phoneNumbers": [f"138{n:08d}" for n in range(1_500)],
    }  # fmt: skip
    body = json.dumps(fields).replace("/", r"\/")  # as org.json of Android writes it
    headers = {"Content-Type": "application/json"}
    reply = await app.call("POST", "/v1/user/register/check_contact.json", data=body, headers=headers)
    return reply.body.get("success") == "true"


async def tel(app: App, user: dict[str, Any]) -> bool:
    return (await app.call("GET", f"/users/{user['id']}", headers=bearer(user))).status == 200


async def tel_cookie(app: App, user: dict[str, Any]) -> bool:
    escaped = "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):02X}" for c in token_of(user))
    headers = {"Cookie": f"theme=dark; {COOKIE}={escaped}"}
    return (await app.call("GET", f"/users/{user['id']}", headers=headers)).status == 200


async def native(app: App, user: dict[str, Any]) -> bool:
    reply = await call(app, "GET", "/v2/me", token_of(user))
    return reply.status == 200 and reply.body["user_id"] == user["id"]


USES: dict[str, Use] = {
    "maitian": maitian, "maitian form": maitian_form, "maitian long": maitian_long_json,
    "tel": tel, "tel cookie": tel_cookie, "native": native,
}  # fmt: skip
"""The contracts that have a call with a session, each in the ways that a token travels in it."""


async def without_session(app: App, user: dict[str, Any]) -> list[Reply]:
    """What the two contracts answer that have no call with a session, to a client that sends its token all the same."""
    number, headers = user["phone"], bearer(user)
    return [
        await app.call("POST", "/v1/user/sendRegisterMessage", json={"phone": number}, headers=headers),
        await app.call("POST", "/v1/register/sendCode", json={"phone": number}, headers=headers),
        await app.call("POST", "/v1/register/checkPhone", json={"phone": number}, headers=headers),
    ]


async def until_known(app: App, user: dict[str, Any]) -> None:
    """Ask until the gateway knows that the number has an account: it may miss one of the last seconds."""
    async with asyncio.timeout(60):
        while codes([await app.call("POST", "/v1/user/sendRegisterMessage", json={"phone": user["phone"]})]) == ["OK"]:
            await asyncio.sleep(0.1)


def codes(replies: list[Reply]) -> list[str]:
    return [reply.body.get("errorCode") or reply.body["code"] for reply in replies]


@pytest.fixture(scope="module")
async def users(system: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A user with a token of each kind."""
    users = {name: user_of(make()) for name, make in TOKENS.items()}
    await imported(system, tmp_path_factory.mktemp("import"), *users.values())
    return users


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", TOKENS)
async def test_a_token_of_another_system_works_in_every_contract_that_has_sessions(
    gateways: tuple[App, App], users: dict[str, dict[str, Any]], kind: str, use: str
) -> None:
    assert await USES[use](gateways[0], users[kind])
    stranger = users[kind] | {"sessions": [{"token": TOKENS[kind]()}]}
    assert not await USES[use](gateways[0], stranger)


async def test_a_token_of_another_system_disturbs_no_call_that_needs_none(
    gateways: tuple[App, App], users: dict[str, dict[str, Any]]
) -> None:
    for user in users.values():
        await until_known(gateways[0], user)
        assert codes(await without_session(gateways[0], user)) == ["USER_PHONE_EXIST", "1003", "1003"]


async def dead_everywhere(gateways: tuple[App, App], user: dict[str, Any], since: float) -> None:
    """Wait until the token works in no contract at any gateway. It must be so within five seconds."""
    for app in gateways:
        for name, use in USES.items():
            while await use(app, user):
                assert time.monotonic() - since < WITHIN_SECONDS, name
                await asyncio.sleep(0.05)
    assert time.monotonic() - since < WITHIN_SECONDS + 1


async def alive_everywhere(gateways: tuple[App, App], user: dict[str, Any]) -> None:
    for app in gateways:
        assert {name: await use(app, user) for name, use in USES.items()} == dict.fromkeys(USES, True)


async def test_a_revoked_token_is_dead_in_every_contract_at_every_gateway_within_five_seconds(
    gateways: tuple[App, App], system: Stack, tmp_path: Path
) -> None:
    user, other = user_of(TOKENS["base64"]()), user_of(TOKENS["sanctum"]())
    await imported(system, tmp_path, user, other)
    await alive_everywhere(gateways, user)
    listed = await call(gateways[0], "GET", "/v2/sessions", token_of(user))
    (session,) = listed.body["sessions"]
    assert (session["client"], session["dialect"], session["current"]) == ("old app", "import", True)

    revoked = time.monotonic()
    assert (await call(gateways[0], "DELETE", f"/v2/sessions/{session['id']}", token_of(user))).status == 204

    await dead_everywhere(gateways, user, revoked)
    await until_known(gateways[0], user)
    assert codes(await without_session(gateways[0], user)) == ["USER_PHONE_EXIST", "1003", "1003"]
    await alive_everywhere(gateways, other)


async def test_a_ban_ends_an_imported_token_everywhere_and_for_good(
    gateways: tuple[App, App], system: Stack, tmp_path: Path
) -> None:
    user = user_of(jwt())
    await imported(system, tmp_path, user)
    await alive_everywhere(gateways, user)

    for command in ("ban", "unban"):
        assert (await auth_command(system, command, str(user["id"])))[0] == 0

    await dead_everywhere(gateways, user, time.monotonic())


async def test_a_token_is_dead_in_every_contract_within_five_seconds_of_its_end(
    gateways: tuple[App, App], system: Stack, tables: Tables, tmp_path: Path
) -> None:
    user = user_of(TOKENS["uuid"]())
    await imported(system, tmp_path, user)
    await alive_everywhere(gateways, user)

    ended = "update sessions set expires_at = now(), token_ends_at = now() where user_id = $1"
    await tables.connections["auth"].execute(ended, user["id"])

    await dead_everywhere(gateways, user, time.monotonic())


async def test_an_old_token_is_exchanged_for_a_pair_of_ours_and_ends_with_it(
    gateways: tuple[App, App], system: Stack, tmp_path: Path
) -> None:
    app = gateways[0]
    user = user_of(TOKENS["sanctum"]())
    await imported(system, tmp_path, user)

    first = await call(app, "POST", "/v2/sessions/refresh", refresh_token=token_of(user))
    assert first.status == 200, first.body
    second = await call(app, "POST", "/v2/sessions/refresh", refresh_token=first.body["refresh_token"])
    token = second.body["access_token"]
    assert (await call(app, "GET", "/v2/me", token)).body["user_id"] == user["id"]
    await alive_everywhere(gateways, user)
    (session,) = (await call(app, "GET", "/v2/sessions", token)).body["sessions"]

    revoked = time.monotonic()
    assert (await call(app, "DELETE", f"/v2/sessions/{session['id']}", token)).status == 204

    await dead_everywhere(gateways, user, revoked)
    assert (await call(app, "GET", "/v2/me", token)).status == 401
    for refresh_token in (token_of(user), second.body["refresh_token"]):
        assert (await call(app, "POST", "/v2/sessions/refresh", refresh_token=refresh_token)).status == 401


async def test_a_refresh_token_of_another_system_keeps_its_user_logged_in(
    gateways: tuple[App, App], system: Stack, tmp_path: Path
) -> None:
    user = user_of(secrets.token_urlsafe(16), kind="refresh")
    await imported(system, tmp_path, user)
    assert not await native(gateways[0], user)

    granted = await call(gateways[0], "POST", "/v2/sessions/refresh", refresh_token=token_of(user))

    me = await call(gateways[1], "GET", "/v2/me", granted.body["access_token"])
    assert me.body["user_id"] == user["id"]


async def test_no_log_and_no_table_has_a_token_of_another_system(
    gateways: tuple[App, App], system: Stack, tables: Tables, users: dict[str, dict[str, Any]]
) -> None:
    for user in users.values():
        await alive_everywhere(gateways, user)
    contents = await tables.everything()
    logs = {f"log of {name}": service.logs() for name, service in system.services.items()}
    for where, text in (contents | logs).items():
        assert [name for name, user in users.items() if token_of(user) in text] == [], where
