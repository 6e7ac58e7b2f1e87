"""Operators on the whole system: the command, the HTTP API, the roles, the trail, and what support never sees."""

import asyncio
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import aio_pika
import aiohttp
import pytest
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables
from support.operators import OperatorApi, operator_api

from gateway.operators.calls import CALLS

PASSWORD = "sesame42"
WHO = ("--reason", "ticket 4711")
ANSWERS = int(os.environ.get("ANSWERS") or 1_000)
"""How many answers support crawls: docs/operations/operator.md has what 10,000 show."""

NUMBER = re.compile(r"(?<![0-9a-f])(?:\+?86)?1[3-9][0-9]{9}(?![0-9a-f])")


@pytest.fixture
def operators(system: Stack) -> Iterator[OperatorApi]:
    with operator_api(system) as api:
        yield api


async def test_an_operator_finds_bans_and_frees_a_user_by_number_and_the_trail_says_who_and_why(
    operators: OperatorApi, app: App, tables: Tables
) -> None:
    number = fresh_number()
    user = await app.register(number, PASSWORD)
    about = ("--phone", number, *WHO)

    status, found, _ = await operators.operate("ada", "find", *about)
    assert (status, found["phone"], found["user_id"]) == (0, f"+86{number}", int(user["userId"]))
    status, banned, _ = await operators.operate("ada", "ban", *about, "--until", "2999-01-01T00:00:00+08:00")
    assert (status, banned["changed"], banned["sessions_ended"]) == (0, True, 1)
    _, found, _ = await operators.operate("sam", "find", *about)
    assert (found["phone"], found["banned_until"]) == (f"{number[:3]}****{number[-4:]}", "2998-12-31T16:00:00Z")
    assert "error_code" in (await app.log_in(number, PASSWORD)).body
    assert (await operators.operate("ada", "unban", *about))[0] == 0
    assert "error_code" not in (await app.log_in(number, PASSWORD)).body
    _, exported, _ = await operators.operate("ada", "export", *about)
    assert exported["account"]["phone"] == f"+86{number}"
    assert (await operators.operate("ada", "erase", *about))[0] == 0
    status, _, error = await operators.operate("ada", "find", *about)
    assert (status, error) == (1, "operate: there is no such user, message, sender, prefix or call (not_found)\n")

    trail = await tables.connections["auth"].fetch(
        "select action, actor, reason from audit_log where actor in ('ada', 'sam') and action like 'operator.%'"
        " order by at desc limit 2"
    )
    assert {tuple(row) for row in trail} == {
        ("operator.find", "ada", "ticket 4711"),
        ("operator.find.refused", "ada", "ticket 4711"),
    }


async def test_a_wrong_key_a_missing_role_and_a_missing_reason_are_refused_with_what_to_do(
    operators: OperatorApi, app: App
) -> None:
    asks: list[tuple[str, str, Any, int, str]] = [
        ("wrong", "find", {}, 401, "show the key that operator-key printed"),
        ("sam", "ban", {"phone": "13800138000", "reason": "x"}, 403, "this call takes the role operator"),
        ("sam", "find", {"phone": "13800138000"}, 400, '"field":"reason"'),
        ("sam", "fly", {}, 404, "operate --help lists them"),
        ("sam", "find", [], 400, "the body is no JSON object"),
    ]
    for name, call, body, status, text in asks:
        answer = await operators.ask(name, call, body, app.http)
        assert (answer[0], text in answer[1]) == (status, True), answer


async def test_a_parked_message_is_listed_shown_and_dropped(operators: OperatorApi, system: Stack, app: App) -> None:
    body = f'{{"mark": "{uuid4()}"}}'
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as bus:
        exchange = await (await bus.channel()).get_exchange("sms.send", ensure=False)
        await exchange.publish(aio_pika.Message(body.encode(), message_id=str(uuid4())), "sms.send")

    async with asyncio.timeout(60):
        while not (item := await parked_with(operators, app, body)):
            await asyncio.sleep(0.2)
    assert (item["reason"], item["destination"]) == ("not a send command", "sms.send")
    _, settled, _ = await operators.operate("ada", "drop", "--service", "sms-service", "--ids", item["id"], *WHO)
    assert settled["settled"] == 1
    assert await parked_with(operators, app, body) is None


async def parked_with(operators: OperatorApi, app: App, body: str) -> dict[str, Any] | None:
    """The parked message of sms-service that has this body."""
    _, listed = await operators.ask("ada", "parked", {"service": "sms-service"}, app.http)
    for item in json.loads(listed.partition("\n")[2])["items"]:
        which = {"service": "sms-service", "id": item["id"]}
        _, shown = await operators.ask("ada", "show-parked", which, app.http)
        if json.loads(shown.partition("\n")[2])["content"] == body:
            return dict(item)
    return None


@pytest.mark.timeout(1_800)
async def test_support_sees_no_clear_number_in_any_answer(
    operators: OperatorApi, app: App, tables: Tables, system: Stack
) -> None:
    numbers = [fresh_number() for _ in range(5)]
    people = [await person(app, tables, number) for number in numbers]
    await park_numbers(system, numbers)
    chance = random.Random(4711)
    asks = [question(chance, people) for _ in range(ANSWERS)]
    statuses: Counter[int] = Counter()
    leaks: list[str] = []

    async def crawl(share: list[tuple[str, dict[str, Any]]]) -> None:
        async with aiohttp.ClientSession() as http:
            for call, body in share:
                status, text = await operators.ask("sam", call, body, http)
                statuses[status] += 1
                if NUMBER.search(text) or any(number in text for number in numbers):
                    leaks.append(f"{call} {status} {text}")

    await asyncio.gather(*(crawl(asks[start::4]) for start in range(4)))
    print(f"support: {sum(statuses.values())} answers, by status {dict(statuses)}, {len(leaks)} with a clear number")

    assert leaks == []
    assert sum(statuses.values()) == ANSWERS
    assert statuses.keys() >= {200, 400, 403, 404}
    assert 500 not in statuses


async def person(app: App, tables: Tables, number: str) -> dict[str, Any]:
    """A user whose own texts hold their number, with the ways to name them."""
    user = await app.register(number, PASSWORD)
    auth, user_id = tables.connections["auth"], int(user["userId"])
    await auth.execute(
        "update accounts set nickname = $1, name = $2, name_key = $2, client = $1 where user_id = $3",
        f"call {number[:3]} {number[3:7]} {number[7:]}", f"+86{number}", user_id,
    )  # fmt: skip
    await auth.execute("update sessions set client = $1 where user_id = $2", number, user_id)
    session = await auth.fetchval("select session_id from sessions where user_id = $1", user_id)
    spent = await auth.fetchval("select verification_id from spent_tickets where user_id = $1", user_id)
    return {"phone": number, "user_id": user_id, "session_id": str(session), "verification_id": str(spent)}


async def park_numbers(system: Stack, numbers: list[str]) -> None:
    """Messages that no consumer can read and that hold clear numbers."""
    async with await aio_pika.connect(system.addresses["AMQP_URL"]) as bus:
        channel = await bus.channel()
        for queue in ("sms.send", "contacts.directory"):
            exchange = await channel.get_exchange(queue, ensure=False)
            for number in numbers:
                message = aio_pika.Message(f'{{"phone": "+86{number}"}}'.encode(), message_id=str(uuid4()))
                await exchange.publish(message, queue)


def question(chance: random.Random, people: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A request of support: right, wrong, or one that only an operator may make."""
    call, who = chance.choice([*CALLS, "find", "find", "fly"]), chance.choice(people)
    name = chance.choice(list(who))
    wrong = chance.choice(
        [{}, {}, {}, {"number": who["phone"]}, {"user_id": who["phone"] + "x"}, {"reason": who["phone"]}]
    )
    subject = {name: who[name]} if chance.random() < 0.8 else {"phone": f"+86 {who['phone']}x"}
    service = {"service": chance.choice(["auth-service", "sms-service", "contacts-service", who["phone"]])}
    fields = service | {"id": chance.choice([str(uuid4()), who["phone"]])} if "parked" in call else subject
    return call, {"reason": "a crawl"} | fields | wrong if "parked" not in call else fields | wrong


async def test_a_test_message_arrives_and_the_senders_are_listed(operators: OperatorApi, app: App) -> None:
    number = fresh_number()
    words = ("test-message", "--sender", "inbox", "--phone", number, "--language", "en", *WHO)

    status, sent, _ = await operators.operate("ada", *words)
    assert (status, sent["outcome"]) == (0, "accepted")
    assert await app.code(number) == "000000"
    _, listed, _ = await operators.operate("sam", "senders")
    assert listed["senders"] == [{"name": "inbox", "type": "inbox", "balance": None, "warn_below_balance": None}]
    status, _, error = await operators.operate("ada", "test-message", "--sender", "none", "--phone", number, *WHO)
    assert (status, "not_found" in error) == (1, True)
