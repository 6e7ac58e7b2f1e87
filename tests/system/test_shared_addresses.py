"""Many people behind one address: a carrier's NAT, an office, a launch day. Limits on callers have their defaults here."""

import secrets
from collections.abc import AsyncIterator

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number

ALLOWED = "198.51.100.7"
"""An address in the allow-list, of a block that is reserved for documentation."""


@pytest.fixture(scope="module")
async def public(system: Stack) -> AsyncIterator[App]:
    """A gateway behind a trusted proxy, before an sms-service with limits on callers."""
    limits = {"CALLER_LIMITS": "on", "CALLER_ALLOW_LIST": f"2001:db8::/32,{ALLOWED}"}
    sms = system.launch("sms-service", label="limited-sms-service", env=limits)
    env = {"SMS_URL": sms.url, "TRUSTED_PROXIES": "127.0.0.1"}
    gateway = system.launch("gateway", label="limited-gateway", env=env)
    async with App.connect(gateway.url, sms.url) as app:
        yield app
    gateway.stop()
    sms.stop()


def somewhere() -> str:
    """An address in a network that no other test uses."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"


async def request_code(app: App, address: str, number: str | None = None) -> Reply:
    body = {"phone": number or fresh_number(), "purpose": "sign_up"}
    return await app.call("POST", "/v2/verifications", json=body, headers={"X-Forwarded-For": address})


async def test_a_hundred_and_twenty_people_behind_one_address_get_codes_at_once(public: App) -> None:
    address = somewhere()
    replies = [await request_code(public, address) for _ in range(121)]

    assert [reply.status for reply in replies] == [202] * 120 + [429]
    assert replies[-1].body["code"] == "caller_limit"
    assert int(replies[-1].headers["Retry-After"]) <= 30


async def test_the_allow_list_lifts_the_limit_of_an_address_and_keeps_that_of_a_number(public: App) -> None:
    number = fresh_number()
    replies = [await request_code(public, ALLOWED) for _ in range(125)]
    again = [await request_code(public, ALLOWED, number) for _ in range(2)]

    assert {reply.status for reply in replies} == {202}
    assert [reply.status for reply in again] == [202, 429]
    assert again[-1].body["code"] == "cooldown"
