"""The audit trail on the whole system: decisions made through the gateway have rows, and both chains seal them."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from stack.system import Stack
from support.app import App, fresh_number, wrong
from support.commands import run_command
from support.database import Tables

from shared.postgres import url_of

PASSWORD = "correct horse"
TRAILS = {"auth-service": ("auth", "audit_log"), "sms-service": ("sms", "verification_events")}


async def run(system: Stack, service: str, *words: str) -> tuple[int | None, str]:
    """The exit status and the output of ``python -m <service> audit`` with the rights of the service."""
    is_worker = service == "sms_service" and words[0] == "verify"  # it has the keys of the chain
    environ = system.environ_of("sms-worker" if is_worker else service.replace("_", "-"))
    ended = await run_command(service, "audit", *words, environ=environ)
    return ended.status, ended.output


async def shown(system: Stack, service: str, number: str) -> list[dict[str, Any]]:
    status, text = await run(system, service, "show", "--number", number, "--since", "1h", "--json")
    assert status == 0
    return [json.loads(line) for line in text.splitlines()]


async def native(app: App, path: str, **fields: str) -> dict[str, Any]:
    body: dict[str, Any] = (await app.call("POST", path, json=fields)).body
    return body


async def sealed(system: Stack, service: str, row_id: str) -> dict[str, Any]:
    """The result of ``audit verify`` once a row that exists has a seal."""
    async with asyncio.timeout(90):
        while True:
            is_sealed = row_id in await sealed_ids(system, service)  # asked first: the result is to include the seal
            status, text = await run(system, service, "verify", "--json")
            result: dict[str, Any] = json.loads(text)
            assert (status, result["broken"]) == (0, None)
            if is_sealed:
                return result


async def sealed_ids(system: Stack, service: str) -> set[str]:
    database = {"auth_service": "auth", "sms_service": "sms"}[service]
    async with Tables.connect(system.addresses["POSTGRES_URL"], system.environ["PHONE_KEY"]) as tables:
        rows = await tables.connections[database].fetch("select unnest(ids)::text as id from audit_seals")
    return {row["id"] for row in rows}


async def test_what_a_user_does_is_in_the_trail_and_the_trail_is_sealed(app: App, system: Stack) -> None:
    number = fresh_number()
    await native(app, "/v2/verifications", phone=number, purpose="sign_up")
    code = await app.code(number)
    await native(app, "/v2/verifications/check", phone=number, purpose="sign_up", code=wrong(code))
    checked = await native(app, "/v2/verifications/check", phone=number, purpose="sign_up", code=code)
    await native(app, "/v2/accounts", ticket=checked["ticket"], password=PASSWORD, nickname="Ada")
    await native(app, "/v2/sessions", phone=number, password="wrong horse")
    tokens = await native(app, "/v2/sessions", phone=number, password=PASSWORD)
    refreshed = await native(app, "/v2/sessions/refresh", refresh_token=tokens["refresh_token"])
    headers = {"Authorization": f"Bearer {refreshed['access_token']}"}
    await app.call("PATCH", "/v2/me", json={"discoverable": False}, headers=headers)

    decisions = await shown(system, "auth_service", number)
    assert sorted(row["action"] for row in decisions) == [
        "change_profile.succeeded", "log_in_with_password.refused", "log_in_with_password.succeeded",
        "refresh_token.granted", "refresh_token.granted", "refresh_token.used", "register.succeeded",
    ]  # fmt: skip
    assert {row["network"] for row in decisions if row["action"] in {"register.succeeded", "refresh_token.used"}} != {
        ""
    }
    checks = await shown(system, "sms_service", number)
    assert [row["kind"] for row in checks] == ["incorrect", "correct"]
    assert number not in json.dumps([decisions, checks])
    for service, rows in (("auth_service", decisions), ("sms_service", checks)):
        result = await sealed(system, service, rows[-1]["id"])
        assert (await run(system, service, "verify", "--anchor", result["anchor"]))[0] == 0


@pytest.mark.parametrize(("service", "trail"), TRAILS.items())
@pytest.mark.parametrize("statement", [
    "update {0} set detail = 'x'", "delete from {0}", "truncate {0}",
    "delete from audit_seals", "update audit_seals set hash = ''", "update audit_chain set start_number = 9",
    "alter table {0} disable trigger all", "drop trigger {0}_is_append_only on {0}",
    "create or replace function refuse_audit_change() returns trigger language plpgsql as 'begin return null; end'",
    "set session_replication_role = replica",
])  # fmt: skip
async def test_a_service_cannot_change_its_trail(
    system: Stack, service: str, trail: tuple[str, str], statement: str
) -> None:
    database, table = trail
    conn = await asyncpg.connect(url_of(system.environ_of(service)["POSTGRES_URL"], database))
    try:
        await conn.execute("set haoma.audit_change = 'on'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement.format(table))
    finally:
        await conn.close()
