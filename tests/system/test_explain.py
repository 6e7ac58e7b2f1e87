"""``explain`` on the whole system: from a request through the gateway to a session, on the command line and over HTTP."""

import json
from collections.abc import Mapping

from stack.system import Stack
from support.app import App, fresh_number, wrong
from support.commands import run_command
from support.database import Tables

from shared.postgres import pool
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.senders.port import DeliveryStatus, Receipt


async def run_explain(environ: Mapping[str, str], *words: str) -> str:
    """The output of ``python -m sms_service explain`` in the environment of a service."""
    ended = await run_command("sms_service", "explain", *words, environ=environ)
    assert ended.status == 0
    return ended.output


async def delivered(system: Stack, tables: Tables, number: str) -> None:
    """Apply a receipt for the last message to a number."""
    newest = "select message_id, sender from attempts where phone_ref = $1 order by started_at desc limit 1"
    message_id, sender = await tables.connections["sms"].fetchrow(newest, tables.ref(number))
    async with pool(system.addresses["POSTGRES_URL"], "sms") as opened:
        assert await Receipts(ReceiptStore(opened), {}, lambda: None).apply(
            sender, Receipt(DeliveryStatus.DELIVERED, message_id)
        )


async def test_a_report_follows_a_code_from_the_request_to_the_session(app: App, system: Stack, tables: Tables) -> None:
    number = fresh_number()
    await app.send_code(number)
    code = await app.code(number)
    await delivered(system, tables, number)
    assert (
        json.loads(await run_explain(system.environ_of("sms-service"), number, "--json"))["diagnosis"]["kind"]
        == "delivered"
    )

    await app.verify(number, wrong(code))
    ticket = (await app.verify(number, code)).body["data"]["tmp_token"]
    report = json.loads(await run_explain(system.environ_of("sms-service"), number, "--json"))
    assert report["timelines"][0]["notes"] == ["No session: the app has not used the ticket."]

    user = (await app.new_user(number, "sesame42", ticket)).body["data"]
    out = await run_explain(system.environ_of("sms-service"), number)
    columns = [line[44:].split("  ")[0].strip() for line in out.splitlines() if line[3:5] == "20"]
    assert columns == [
        "client", "limits", "queue", "worker", "inbox", "inbox", "check", "check", "auth-service",
    ]  # fmt: skip
    assert f"registered an account with the ticket; its session is still open  (user_id {user['userId']})" in out
    assert "=> The user entered the correct code " in out

    # The number has an account now, so the next request is refused.
    await tables.age(number, 61)
    assert (await app.send_code(number)).body["error_code"] == "10000"
    assert (
        json.loads(await run_explain(system.environ_of("sms-service"), number, "--json"))["diagnosis"]["kind"]
        == "account"
    )


async def test_an_operator_can_ask_the_running_service_but_not_through_the_gateway(app: App, system: Stack) -> None:
    number = fresh_number()
    await app.send_code(number)
    await app.code(number)
    headers = {"Authorization": f"Bearer {system.environ['OPERATOR_TO_SMS_TOKEN']}"}
    request = {"json": {"phone": number}, "headers": headers}
    async with app.http.post(f"{system.url('sms-service')}/v1/explain", **request) as response:
        assert (response.status, (await response.json())["number"]) == (200, f"+86{number}")
    assert (await app.call("POST", "/v1/explain", **request)).status == 404
    assert number not in system.services["sms-service"].logs()


async def test_without_auth_service_the_report_says_that_the_session_is_unknown(app: App, system: Stack) -> None:
    number = fresh_number()
    await app.register(number, "sesame42")
    report = json.loads(
        await run_explain({**system.environ_of("sms-service"), "AUTH_URL": "http://127.0.0.1:1"}, number, "--json")
    )
    assert report["diagnosis"]["kind"] == "verified"
    assert report["timelines"][0]["notes"] == ["Session unknown: auth-service did not answer."]
