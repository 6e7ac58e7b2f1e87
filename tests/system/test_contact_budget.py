"""What one user, and one phone number, can learn about who is a member, through the gateway."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number
from support.database import Tables

BUDGET = 50


@pytest.fixture(scope="module")
async def limited(system: Stack) -> AsyncIterator[App]:
    """A gateway before a contacts-service with a small budget and a limit on calls that a test can reach."""
    env = {"CONTACTS_BUDGET": str(BUDGET), "CALLER_LIMITS": "on", "CONTACTS_CALLS_PER_MINUTE": "1000"}
    contacts = system.launch("contacts-service", label="limited-contacts-service", env=env)
    gateway = system.launch("gateway", label="gateway-of-limited-contacts", env={"CONTACTS_URL": contacts.url})
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    gateway.stop()
    contacts.stop()


def unseen(count: int, start: int) -> list[str]:
    return [f"152{start + number:08d}" for number in range(count)]


async def match(app: App, user: dict[str, Any], *phones: str) -> Reply:
    headers = {"Authorization": f"Bearer {user['token']}"}
    return await app.call("POST", "/v2/contacts/match", json={"phones": phones}, headers=headers)


async def test_after_the_budget_no_unseen_number_is_answered_and_seen_ones_are(limited: App) -> None:
    user = await limited.register(fresh_number(), "correct horse")
    book = unseen(BUDGET, 0)
    assert (await match(limited, user, *book)).body["budget_left"] == 0

    replies = [await match(limited, user, number) for number in unseen(200, 1000)]

    # At most one in a thousand may be answered, and this budget grows by one number in three minutes.
    assert sum(reply.status == 200 for reply in replies) <= 2
    refused = replies[-1]
    assert (refused.status, refused.body["code"]) == (429, "contact_budget")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await match(limited, user, *book)).status == 200


async def test_erasing_the_account_and_registering_again_brings_no_new_budget(limited: App, tables: Tables) -> None:
    number = fresh_number()
    user = await limited.register(number, "correct horse")
    await match(limited, user, *unseen(BUDGET - 1, 2000))
    headers = {"Authorization": f"Bearer {user['token']}"}
    assert (await limited.call("DELETE", "/v2/me", json={"password": "correct horse"}, headers=headers)).status == 204

    await tables.age(number, 61)
    again = await limited.register(number, "correct horse")

    assert again["userId"] != user["userId"]
    assert (await match(limited, again, *unseen(3, 3000))).body["code"] == "contact_budget"


async def test_the_calls_of_a_user_are_limited_in_the_words_of_each_contract(system: Stack, limited: App) -> None:
    env = {"CALLER_LIMITS": "on", "CONTACTS_CALLS_PER_MINUTE": "1"}
    contacts = system.launch("contacts-service", label="calls-limited-contacts", env=env)
    gateway = system.launch("gateway", label="gateway-of-limited-calls", env={"CONTACTS_URL": contacts.url})
    user = await limited.register(fresh_number(), "correct horse")
    try:
        async with App.connect(gateway.url, limited.sms) as app:
            answered, refused = await match(app, user), await match(app, user)
            maitian = await app.check_contact(user["userId"], user["token"], [])
    finally:
        gateway.stop()
        contacts.stop()

    assert answered.status == 200
    assert (refused.status, refused.body["code"]) == (429, "caller_limit")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert maitian.body["error_code"] == "10003"
    assert int(maitian.headers["Retry-After"]) >= 1
