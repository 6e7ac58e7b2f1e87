"""An app's own server in front of the gateway: one address for all its users, and a key with limits of its own."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number, md5
from support.database import Tables

from gateway.http.app_keys import generate
from gateway.http.problems import LOG_IN_LIMITED

KEY, ENTRY = generate("shop")
OTHER_KEY, OTHER_ENTRY = generate("wiki")
PAGE = "https://m.example.com"
FAILED_LOG_INS = 4
"""The limit of an app in this test: a check of a password is slow."""

SEND: dict[str, tuple[str, str]] = {
    "maitian": ("/v1/user/register/verify_code.json", "phone_number"),
    "phone_info": ("/v1/user/sendRegisterMessage", "phone"),
    "register_page": ("/v1/register/sendCode", "phone"),
    "tel": ("/actions/sms", "tel"),
    "native": ("/v2/verifications", "phone"),
}
"""The call of each contract that sends a code to register with, and its parameter for the number."""


@pytest.fixture(scope="module")
async def public(system: Stack) -> AsyncIterator[App]:
    """A gateway behind a trusted proxy, with keys, before services with limits on callers."""
    limits = {"CALLER_LIMITS": "on", "CALLER_FAILED_LOGINS_PER_APP": str(FAILED_LOG_INS)}
    sms = system.launch("sms-service", label="apps-sms-service", env=limits)
    auth = system.launch("auth-service", label="apps-auth-service", env=limits)
    env = {"SMS_URL": sms.url, "AUTH_URL": auth.url, "TRUSTED_PROXIES": "127.0.0.1", "CORS_ORIGINS": PAGE}
    gateway = system.launch("gateway", label="apps-gateway", env={**env, "APP_KEYS": f"{ENTRY},{OTHER_ENTRY}"})
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    for service in (gateway, auth, sms):
        service.stop()


def somewhere() -> str:
    """An address in a network that no other test uses."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"


def server_at(address: str, key: str = KEY, *, user: str = "") -> dict[str, str]:
    """The headers of an app's server, as the proxy before the gateway passes them on."""
    hops = f"{user}, {address}" if user else address
    return {"X-Forwarded-For": hops} | ({"Authorization": f"App {key}"} if key else {})


async def request_code(app: App, headers: dict[str, str], contract: str = "native") -> Reply:
    path, name = SEND[contract]
    number: Any = fresh_number()
    if contract == "tel":
        number = {"dialCode": 86, "number": number}
    body = {name: number, "purpose": "sign_up", "action": "signup", "source": "iOS"}
    return await app.call("POST", path, json=body, headers=headers)


async def exhaust(app: App, address: str) -> None:
    """Use up the limit of an address without a key."""
    replies = [await request_code(app, server_at(address, key="")) for _ in range(121)]
    assert [reply.status for reply in replies] == [202] * 120 + [429]


async def test_a_server_at_one_address_sends_to_two_hundred_numbers_with_its_key_only(public: App) -> None:
    address = somewhere()
    replies = [await request_code(public, server_at(address)) for _ in range(200)]
    assert {reply.status for reply in replies} == {202}

    await exhaust(public, address)
    for contract in SEND:
        accepted = await request_code(public, server_at(address), contract)
        refused = await request_code(public, server_at(address, key=""), contract)
        assert int(refused.headers["Retry-After"]) >= 1, refused.body
        assert "Retry-After" not in accepted.headers, accepted.body


async def test_a_logged_in_user_of_a_server_without_room_counts_on_themselves(public: App) -> None:
    address, number = somewhere(), fresh_number()
    headers = server_at(somewhere())
    sent = await public.call("POST", "/v2/verifications", json={"phone": number, "purpose": "sign_up"}, headers=headers)
    code = {"challenge": sent.body["challenge"], "code": await public.code(number)}
    ticket = (await public.call("POST", "/v2/verifications/check", json=code, headers=headers)).body["ticket"]
    user = (await public.call("POST", "/v2/accounts", json={"ticket": ticket}, headers=headers)).body
    await exhaust(public, address)
    bearer = {"X-Forwarded-For": address, "Authorization": f"Bearer {user['tokens']['access_token']}"}

    replies = [
        await public.call(
            "POST", "/v2/verifications", json={"phone": fresh_number(), "purpose": "change_phone"}, headers=bearer
        )
        for _ in range(11)
    ]

    assert [reply.status for reply in replies] == [202] * 10 + [429]
    mine = {**server_at(address), "Cookie": f"session={user['tokens']['access_token']}"}
    assert (await public.call("GET", f"/users/{user['account']['user_id']}", headers=mine)).status == 200
    for path in ("/v2/me", "/v2/sessions"):
        reply = await public.call("GET", path, headers=server_at(address))
        assert (reply.status, reply.body["code"]) == (401, "unauthenticated")


async def test_failed_log_ins_count_on_the_app_and_the_audit_log_says_so(public: App, app: App, tables: Tables) -> None:
    number = fresh_number()
    await app.register(number, "correct horse")
    wrong = {"source": "iOS", "phone_number": number, "password": md5("wrong")}
    correct = {**wrong, "password": md5("correct horse")}

    async def log_in(body: dict[str, str], headers: dict[str, str]) -> str:
        reply = await public.call("POST", "/v1/user/login.json", json=body, headers=headers)
        return str(reply.body.get("error_code", "in"))

    users = [somewhere() for _ in range(FAILED_LOG_INS // 2)]
    sources = [server_at("192.0.2.9"), *(server_at("192.0.2.9", user=user) for user in users)]
    failed = [await log_in(wrong, sources[turn % len(sources)]) for turn in range(FAILED_LOG_INS)]

    assert failed == ["20000"] * FAILED_LOG_INS
    assert await log_in(correct, server_at("192.0.2.9", user=somewhere())) == "20003"
    body = {"phone": number, "password": "correct horse"}
    limited = await public.call("POST", "/v2/sessions", json=body, headers=server_at("192.0.2.9", user=somewhere()))
    assert (limited.status, limited.body["detail"]) == (429, LOG_IN_LIMITED["zh"])
    assert await log_in(correct, server_at("192.0.2.9", OTHER_KEY)) == "in"
    assert await log_in(correct, server_at("192.0.2.9", key="")) == "in"
    networks = await tables.networks_of_log_ins(number)
    assert networks[:3] == ["app shop", *(f"{user.rpartition('.')[0]}.0/24" for user in users)]
    assert networks[-2:] == ["app wiki", "192.0.2.0/24"]


@pytest.mark.parametrize("origin", [PAGE, "https://evil.example"])
async def test_no_page_can_use_a_key_from_a_listed_origin_or_any_other(public: App, origin: str) -> None:
    headers = {**server_at(somewhere()), "Origin": origin, "Sec-Fetch-Site": "cross-site"}

    reply = await request_code(public, headers)

    assert reply.status == (401 if origin == PAGE else 400)
    assert reply.body["code"] == ("app_key_refused" if origin == PAGE else "parameter_invalid")
    assert reply.headers.get("Access-Control-Allow-Origin") == (PAGE if origin == PAGE else None)


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
async def test_a_key_does_not_open_what_is_private(public: App, path: str) -> None:
    reply = await public.call("GET", path, headers=server_at("8.8.8.8", user="10.1.2.3"))
    assert reply.status == 404


async def test_logs_name_the_app_and_contain_no_key(public: App, system: Stack) -> None:
    await request_code(public, server_at(somewhere()))
    await request_code(public, server_at(somewhere(), KEY[:-1]))
    await request_code(public, server_at(somewhere(), key=""))

    logs = system.services["apps-gateway"].logs()

    assert '"app":"shop"' in logs
    assert '"refusal":"app_key_refused"' in logs
    everything = "\n".join(service.logs() for service in system.services.values())
    assert KEY[len("haoma_app_") : -1] not in everything
