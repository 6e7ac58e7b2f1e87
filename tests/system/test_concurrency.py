"""Simultaneous requests on real servers and processes: what must happen once happens once."""

import asyncio
from collections import Counter
from functools import partial

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number, wrong
from support.database import Tables
from support.patience import until_answered


@pytest.fixture(scope="module")
async def second_app(system: Stack):
    """An app at a second gateway with a second sms-service."""
    sms = system.launch("sms-service", label="second-sms")
    gateway = system.launch("gateway", label="second-gateway", env={"SMS_URL": sms.url})
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    gateway.stop()
    sms.stop()


async def test_of_a_thousand_simultaneous_wrong_codes_at_two_processes_five_are_compared(
    app: App, second_app: App, tables: Tables
) -> None:
    number = fresh_number()
    await app.send_code(number)
    code = await app.code(number)
    codes = [f"{number:06d}" for number in range(1001) if f"{number:06d}" != code][:1000]

    replies = await asyncio.gather(
        *(
            until_answered(partial((app if i % 2 else second_app).verify, number, incorrect))
            for i, incorrect in enumerate(codes)
        )
    )

    assert {reply.body["error_code"] for reply in replies} == {"10001"}
    row = await tables.connections["sms"].fetchrow(
        "select tries, cardinality(failures) as failures from verifications join number_activity using (phone_ref) "
        "where phone_ref = $1",
        tables.ref(number),
    )
    assert (row["tries"], row["failures"]) == (5, 5)
    assert (await app.verify(number, code)).body["error_code"] == "10001"
    assert (await second_app.verify(number, code)).body["error_code"] == "10001"


async def test_of_two_hundred_submissions_of_one_ticket_one_registers_the_account(
    app: App, second_app: App, tables: Tables
) -> None:
    number = fresh_number()
    ticket = await app.ticket(number)
    passwords = ["the first password", "the other password"]

    replies = await asyncio.gather(
        *(
            until_answered(partial((app if i % 3 else second_app).new_user, number, passwords[i % 2], ticket))
            for i in range(200)
        )
    )

    winners = {passwords[i % 2] for i, reply in enumerate(replies) if succeeded(reply)}
    assert len(winners) == 1
    assert len({reply.body["data"]["userId"] for reply in replies if succeeded(reply)}) == 1
    assert {reply.body["error_code"] for reply in replies if not succeeded(reply)} == {"10001"}
    accounts = await tables.connections["auth"].fetchval(
        "select count(*) from accounts where phone = $1", "+86" + number
    )
    assert accounts == 1
    (password,) = winners
    assert "token" in (await app.log_in(number, password)).body
    (loser,) = set(passwords) - winners
    assert (await app.log_in(number, loser)).body["error_code"] == "20000"


async def test_of_fifty_simultaneous_requests_for_a_code_one_sends_a_message(app: App, second_app: App) -> None:
    number = fresh_number()

    replies = await asyncio.gather(
        *(until_answered(partial((app if i % 2 else second_app).send_code, number)) for i in range(50))
    )

    assert Counter(reply.body.get("error_code", "sent") for reply in replies) == {"sent": 1, "10003": 49}
    first = await app.message(number)
    async with app.http.get(f"{app.sms}/inbox/messages", params={"to": f"+86{number}"}) as response:
        assert [message["id"] for message in (await response.json())["messages"]] == [first["id"]]


async def test_six_checks_of_the_correct_code_give_one_ticket_and_no_more_do(app: App) -> None:
    number = fresh_number()
    await app.send_code(number)
    code = await app.code(number)
    assert (await app.verify(number, wrong(code))).body["error_code"] == "10001"

    replies = [await app.verify(number, code) for _ in range(6)]

    assert len({reply.body["data"]["tmp_token"] for reply in replies}) == 1
    assert (await app.verify(number, code)).body["error_code"] == "10001"


def succeeded(reply: Reply) -> bool:
    return bool(reply.body.get("success") == "true")
