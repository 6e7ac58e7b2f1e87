"""A user of our own API across all processes, and what other gateways and services see of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from joserfc import jwt
from joserfc.jwk import KeySet
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables
from support.native import call, eventually, is_found, register, ticket
from support.patience import until_answered

from auth_service.tokens.access_tokens import OurAlgorithms
from shared.events.catalogue import UserUpdated
from shared.events.envelope import EXCHANGE, new_event
from shared.phone import ref_hex

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
async def second_app(system: Stack) -> AsyncIterator[App]:
    """The same app with a second gateway."""
    gateway = system.launch("gateway", label="native-gateway")
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    gateway.stop()


@pytest.fixture(scope="module")
async def channel(system: Stack) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as connection:
        yield await connection.channel()


async def test_a_user_registers_changes_everything_and_erases_the_account(app: App, tables: Tables) -> None:
    number, moved = fresh_number(), fresh_number()
    user = await register(app, number, nickname="Anna")
    await tables.age(number, 61)

    logged_in_with_code = await call(
        app, "POST", "/v2/sessions", ticket=await ticket(app, number, "sign_in"), client="watch"
    )
    token = logged_in_with_code.body["access_token"]
    assert (await call(app, "PATCH", "/v2/me", token, motto="hello")).body["motto"] == "hello"
    await tables.age(number, 61)
    tickets = {
        "old_ticket": await ticket(app, number, "change_phone", token),
        "new_ticket": await ticket(app, moved, "change_phone", token),
    }
    assert (await call(app, "PUT", "/v2/me/phone", token, **tickets)).body["phone"] == "+86" + moved
    await tables.age(moved, 61)
    reset = await call(app, "PUT", "/v2/password", ticket=await ticket(app, moved, "reset_password"), password=PASSWORD)
    assert (await call(app, "GET", "/v2/me", token)).status == 401
    logged_in = await call(app, "POST", "/v2/sessions", phone=moved, password=PASSWORD)
    fields = {"current": PASSWORD, "password": "battery staple"}
    changed = await call(app, "PUT", "/v2/password", logged_in.body["access_token"], **fields)
    again = await call(app, "POST", "/v2/sessions/refresh", refresh_token=changed.body["refresh_token"])
    assert (await call(app, "POST", "/v2/sessions/refresh", refresh_token=reset.body["refresh_token"])).status == 401
    account = (await call(app, "GET", "/v2/me", again.body["access_token"])).body
    assert account == user["account"] | {"phone": "+86" + moved, "motto": "hello"}
    assert (await call(app, "DELETE", "/v2/me", again.body["access_token"])).body["code"] == "proof_required"
    assert (await call(app, "DELETE", "/v2/me", again.body["access_token"], password="battery staple")).status == 204
    assert (await call(app, "GET", "/v2/me", again.body["access_token"])).status == 401
    await tables.age(moved, 61)
    assert (await register(app, moved))["account"]["user_id"] != user["account"]["user_id"]


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
async def test_a_message_is_in_the_requested_language(
    app: App, fields: dict[str, str], header: str, beginning: str
) -> None:
    number = fresh_number()
    body = {"phone": number, "purpose": "sign_up", **fields}
    await app.call("POST", "/v2/verifications", json=body, headers={"Accept-Language": header})

    assert (await app.message(number))["text"].startswith(beginning)


async def test_another_service_verifies_an_access_token_with_the_published_keys(app: App, system: Stack) -> None:
    user = await register(app, fresh_number())
    keys = (await call(app, "GET", "/.well-known/jwks.json")).body

    token = jwt.decode(user["tokens"]["access_token"], KeySet.import_key_set(keys), registry=OurAlgorithms())

    assert token.claims["sub"] == str(user["account"]["user_id"])
    assert token.claims["iss"] == token.claims["aud"] == system.url("gateway")
    assert token.claims["exp"] - token.claims["iat"] == 900


async def test_an_ended_session_stops_working_at_every_gateway_within_five_seconds(app: App, second_app: App) -> None:
    user = await register(app, number := fresh_number(), password=PASSWORD)
    token = user["tokens"]["access_token"]
    other = (await call(app, "POST", "/v2/sessions", phone=number, password=PASSWORD)).body["access_token"]
    assert (await call(second_app, "GET", "/v2/me", token)).status == 200

    assert (await call(app, "DELETE", "/v2/sessions", other)).status == 204

    assert (await call(app, "GET", "/v2/me", token)).status == 401

    async def has_ended() -> bool:
        return (await call(second_app, "GET", "/v2/me", token)).status == 401

    await eventually(has_ended)
    assert (await call(second_app, "GET", "/v2/me", other)).status == 200


async def test_concurrent_refreshes_at_two_gateways_return_the_same_next_token(app: App, second_app: App) -> None:
    token = (await register(app, fresh_number()))["tokens"]["refresh_token"]

    replies = await asyncio.gather(
        *(
            until_answered(
                partial(call, (app, second_app)[position % 2], "POST", "/v2/sessions/refresh", refresh_token=token)
            )
            for position in range(100)
        )
    )

    assert {reply.status for reply in replies} == {200}
    (following,) = {reply.body["refresh_token"] for reply in replies}
    assert (await call(app, "POST", "/v2/sessions/refresh", refresh_token=following)).status == 200


async def test_an_older_event_does_not_restore_an_erased_user(
    app: App, tables: Tables, channel: AbstractChannel
) -> None:
    seeker = (await register(app, fresh_number()))["tokens"]["access_token"]
    number, witness = fresh_number(), fresh_number()
    user = await register(app, number)
    await eventually(lambda: is_found(app, seeker, number))
    user_id, token = str(user["account"]["user_id"]), user["tokens"]["access_token"]
    await tables.age(number, 61)

    erase_ticket = await ticket(app, number, "erase", token)
    assert (await call(app, "DELETE", "/v2/me", token, ticket=erase_ticket)).status == 204

    async def is_lost() -> bool:
        return not await is_found(app, seeker, number)

    await eventually(is_lost)
    event = UserUpdated(
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
    late = new_event(event, source="auth-service", subject=user_id, version=1)
    exchange = await channel.get_exchange(EXCHANGE)
    await exchange.publish(aio_pika.Message(late.body, message_id=str(late.id)), late.routing_key)
    await register(app, witness)
    await eventually(lambda: is_found(app, seeker, witness))
    assert await is_lost()
    row = await tables.connections["contacts"].fetchrow(
        "select phone_ref, nickname, version from directory where user_id = $1", int(user_id)
    )
    assert tuple(row) == (None, "", json.loads(late.body)["version"] + 1)
