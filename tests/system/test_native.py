"""The whole journey of a user of our own API, over every process: and what others see and hear of it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from joserfc import jwt
from joserfc.jwk import KeySet
from stack.system import Stack
from support.app import App, Reply, fresh_number
from support.database import Tables
from support.patience import until_answered

from auth_service.tokens.access_tokens import _OneAlgorithm
from shared.event_catalogue import UserUpdated
from shared.events import EXCHANGE, new_event
from shared.phone import ref_hex

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
async def second_app(system: Stack) -> AsyncIterator[App]:
    """The same app at a second gateway."""
    gateway = system.launch("gateway", label="native-gateway")
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    gateway.stop()


@pytest.fixture(scope="module")
async def channel(system: Stack) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as connection:
        yield await connection.channel()


async def ask(app: App, method: str, path: str, token: str | None = None, **fields: Any) -> Reply:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await app.call(method, path, json=fields or None, headers=headers)


async def ticket(app: App, number: str, purpose: str, token: str | None = None) -> str:
    asked = await ask(app, "POST", "/v2/verifications", token, phone=number, purpose=purpose)
    assert asked.status == 202, asked.body
    code = await app.code(number)
    checked = await ask(app, "POST", "/v2/verifications/check", challenge=asked.body["challenge"], code=code)
    assert checked.status == 200, checked.body
    return str(checked.body["ticket"])


async def sign_up(app: App, number: str, **more: Any) -> dict[str, Any]:
    made = await ask(app, "POST", "/v2/accounts", ticket=await ticket(app, number, "sign_up"), **more)
    assert made.status == 201, made.body
    return dict(made.body)


async def found(app: App, token: str, number: str) -> bool:
    matched = await ask(app, "POST", "/v2/contacts/match", token, phones=[number])
    assert matched.status == 200, matched.body
    return bool(matched.body["matches"])


async def eventually(question: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not await question():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.05)


async def test_a_user_lives_a_whole_life(app: App, tables: Tables) -> None:
    number, moved = fresh_number(), fresh_number()
    user = await sign_up(app, number, nickname="Anna")
    await tables.age(number, 61)

    entered = await ask(app, "POST", "/v2/sessions", ticket=await ticket(app, number, "sign_in"), client="watch")
    token = entered.body["access_token"]
    assert (await ask(app, "PATCH", "/v2/me", token, motto="hello")).body["motto"] == "hello"
    await tables.age(number, 61)
    tickets = {
        "old_ticket": await ticket(app, number, "change_phone", token),
        "new_ticket": await ticket(app, moved, "change_phone", token),
    }
    assert (await ask(app, "PUT", "/v2/me/phone", token, **tickets)).body["phone"] == "+86" + moved
    await tables.age(moved, 61)
    reset = await ask(app, "PUT", "/v2/password", ticket=await ticket(app, moved, "reset_password"), password=PASSWORD)
    assert (await ask(app, "GET", "/v2/me", token)).status == 401
    logged_in = await ask(app, "POST", "/v2/sessions", phone=moved, password=PASSWORD)
    changed = {"current": PASSWORD, "password": "battery staple"}
    assert (await ask(app, "PUT", "/v2/password", logged_in.body["access_token"], **changed)).status == 204
    again = await ask(app, "POST", "/v2/sessions/refresh", refresh_token=logged_in.body["refresh_token"])
    assert (await ask(app, "POST", "/v2/sessions/refresh", refresh_token=reset.body["refresh_token"])).status == 401
    shown = (await ask(app, "GET", "/v2/me", again.body["access_token"])).body
    assert shown == user["account"] | {"phone": "+86" + moved, "motto": "hello"}
    assert (await ask(app, "DELETE", "/v2/me", again.body["access_token"])).status == 204
    assert (await ask(app, "GET", "/v2/me", again.body["access_token"])).status == 401
    await tables.age(moved, 61)
    assert (await sign_up(app, moved))["account"]["user_id"] != user["account"]["user_id"]


@pytest.mark.parametrize(
    ("fields", "header", "beginning"),
    [
        ({}, "", "【好码】"),
        ({}, "en-GB", "[Haoma]"),
        ({"locale": "en"}, "zh", "[Haoma]"),
        ({"locale": "zh-Hans-CN"}, "en", "【好码】"),
        ({"locale": "fr"}, "en", "[Haoma]"),
        ({"locale": "fr"}, "", "【好码】"),
    ],
)
async def test_a_message_is_written_in_the_language_that_was_asked_for(
    app: App, fields: dict[str, str], header: str, beginning: str
) -> None:
    number = fresh_number()
    body = {"phone": number, "purpose": "sign_up", **fields}
    await app.call("POST", "/v2/verifications", json=body, headers={"Accept-Language": header})

    assert (await app.message(number))["text"].startswith(beginning)


async def test_another_service_verifies_an_access_token_with_the_published_keys(app: App) -> None:
    user = await sign_up(app, fresh_number())
    keys = (await ask(app, "GET", "/.well-known/jwks.json")).body

    token = jwt.decode(user["tokens"]["access_token"], KeySet.import_key_set(keys), registry=_OneAlgorithm())

    assert token.claims["sub"] == str(user["account"]["user_id"])
    assert token.claims["iss"] == "haoma"
    assert token.claims["exp"] - token.claims["iat"] == 900


async def test_an_ended_session_is_dead_on_every_gateway_within_five_seconds(app: App, second_app: App) -> None:
    user = await sign_up(app, number := fresh_number(), password=PASSWORD)
    token = user["tokens"]["access_token"]
    other = (await ask(app, "POST", "/v2/sessions", phone=number, password=PASSWORD)).body["access_token"]
    assert (await ask(second_app, "GET", "/v2/me", token)).status == 200

    assert (await ask(app, "DELETE", "/v2/sessions", other)).status == 204

    assert (await ask(app, "GET", "/v2/me", token)).status == 401

    async def dead() -> bool:
        return (await ask(second_app, "GET", "/v2/me", token)).status == 401

    await eventually(dead)
    assert (await ask(second_app, "GET", "/v2/me", other)).status == 200


async def test_refreshes_at_two_gateways_at_once_are_all_answered_with_one_family(app: App, second_app: App) -> None:
    token = (await sign_up(app, fresh_number()))["tokens"]["refresh_token"]

    replies = await asyncio.gather(
        *(
            until_answered(
                partial(ask, (app, second_app)[place % 2], "POST", "/v2/sessions/refresh", refresh_token=token)
            )
            for place in range(100)
        )
    )

    assert {reply.status for reply in replies} == {200}
    (following,) = {reply.body["refresh_token"] for reply in replies}
    assert (await ask(app, "POST", "/v2/sessions/refresh", refresh_token=following)).status == 200


async def test_an_older_event_never_brings_an_erased_user_back(
    app: App, tables: Tables, channel: AbstractChannel
) -> None:
    seeker = (await sign_up(app, fresh_number()))["tokens"]["access_token"]
    number, witness = fresh_number(), fresh_number()
    user = await sign_up(app, number)
    await eventually(lambda: found(app, seeker, number))
    user_id = str(user["account"]["user_id"])

    assert (await ask(app, "DELETE", "/v2/me", user["tokens"]["access_token"])).status == 204

    async def lost() -> bool:
        return not await found(app, seeker, number)

    await eventually(lost)
    fact = UserUpdated(
        user_id=user_id,
        phone_ref=ref_hex(tables.ref(number)),
        phone_masked="138****0000",
        country="86",
        nickname="back again",
        avatar="",
        discoverable=True,
        disabled=False,
        dialect="native",
        client=str(uuid4()),
    )
    late = new_event(fact, source="auth-service", subject=user_id, version=1)
    exchange = await channel.get_exchange(EXCHANGE)
    await exchange.publish(aio_pika.Message(late.body, message_id=str(late.id)), late.routing_key)
    await sign_up(app, witness)
    await eventually(lambda: found(app, seeker, witness))
    assert await lost()
    row = await tables.connections["contacts"].fetchrow(
        "select phone_ref, nickname, version from directory where user_id = $1", int(user_id)
    )
    assert tuple(row) == (None, "", json.loads(late.body)["version"] + 1)
