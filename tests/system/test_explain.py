"""``explain`` on the whole system: from a request through the gateway to a session, typed and asked over HTTP."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping

from stack.system import Stack
from support.app import App, fresh_number, wrong
from support.database import Tables

from shared.postgres import pool
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.senders.port import DeliveryStatus, Receipt


async def typed(environ: Mapping[str, str], *words: str) -> str:
    """What ``python -m sms_service explain`` prints, in a service's environment."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sms_service", "explain", *words, env=environ, stdout=subprocess.PIPE
    )
    out, _ = await started.communicate()
    assert started.returncode == 0
    return out.decode()


async def delivered(system: Stack, tables: Tables, number: str) -> None:
    """The receipt of the last message to a number, as its sender would tell it."""
    newest = "select message_id, sender from attempts where phone_ref = $1 order by started_at desc limit 1"
    message_id, sender = await tables.connections["sms"].fetchrow(newest, tables.ref(number))
    async with pool(system.addresses["POSTGRES_URL"], "sms") as opened:
        assert await Receipts(ReceiptStore(opened), {}, lambda: None).apply(
            sender, Receipt(DeliveryStatus.DELIVERED, message_id)
        )


async def test_a_code_is_followed_from_the_request_to_the_session(app: App, system: Stack, tables: Tables) -> None:
    number = fresh_number()
    await app.send_code(number)
    code = await app.code(number)
    await delivered(system, tables, number)
    assert json.loads(await typed(system.environ, number, "--json"))["verdict"]["kind"] == "delivered"

    await app.verify(number, wrong(code))
    ticket = (await app.verify(number, code)).body["data"]["tmp_token"]
    story = json.loads(await typed(system.environ, number, "--json"))
    assert story["timelines"][0]["notes"] == ["session: none: the ticket has not been spent"]

    user = (await app.new_user(number, "sesame42", ticket)).body["data"]
    out = await typed(system.environ, number)
    columns = [line[44:].split("  ")[0].strip() for line in out.splitlines() if line[3:5] == "20"]
    assert columns == [
        "client", "limits", "queue", "worker", "inbox", "inbox", "check", "check", "auth-service",
    ]  # fmt: skip
    assert f"an account was opened; its session lives  (user_id {user['userId']})" in out
    assert "=> The code arrived: the right one came back " in out

    # The number is taken now, and the story goes on.
    await tables.age(number, 61)
    assert (await app.send_code(number)).body["error_code"] == "10000"
    assert json.loads(await typed(system.environ, number, "--json"))["verdict"]["kind"] == "account"


async def test_an_operator_can_ask_the_running_service_and_nobody_can_ask_through_the_gateway(
    app: App, system: Stack
) -> None:
    number = fresh_number()
    await app.send_code(number)
    await app.code(number)
    headers = {"Authorization": f"Bearer {system.environ['OPERATOR_TOKEN']}"}
    asked = {"json": {"phone": number}, "headers": headers}
    async with app.http.post(f"{system.url('sms-service')}/v1/explain", **asked) as response:
        assert (response.status, (await response.json())["about"]) == (200, f"+86{number}")
    assert (await app.call("POST", "/v1/explain", **asked)).status == 404
    assert number not in system.services["sms-service"].logs()


async def test_without_auth_service_the_story_says_what_it_does_not_know(app: App, system: Stack) -> None:
    number = fresh_number()
    await app.register(number, "sesame42")
    story = json.loads(await typed({**system.environ, "AUTH_URL": "http://127.0.0.1:1"}, number, "--json"))
    assert story["verdict"]["kind"] == "verified"
    assert story["timelines"][0]["notes"] == ["session: unknown: auth-service did not answer"]
