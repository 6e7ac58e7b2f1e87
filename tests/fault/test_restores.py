"""What is lost with a database, Redis, the broker or a key, and what is not: ``make restore-check`` prints the times.

Each test loses something for real and follows docs/operations/backup-and-restore.md.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stack.system import Stack
from support import backups
from support.app import App, Reply, fresh_number
from support.backups import Stopwatch, command
from support.database import Tables
from support.native import call, eventually, is_found, register, ticket

PASSWORD, OTHER_PASSWORD = "correct horse", "battery staple"
OPERATOR = ("--by", "night shift", "--reason", "a restored backup")
ENVIRON = {
    "CALLER_LIMITS": "off",
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "info",
    "DIRECTORY_CHECK_SECONDS": "1",
    "DIRECTORY_SETTLE_SECONDS": "1",
}
COOLDOWN = 61
"""Seconds after which a number gets its next code."""
PATIENCE = 90.0
"""Seconds on a busy machine; the times are printed."""
pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif("RESTORES" not in os.environ, reason="make restore-check runs it: it takes minutes"),
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A system of its own, with an inbox that stays when sms-service is stopped."""
    with Stack.private(environ=ENVIRON) as stack:
        stack.start_servers(then=stack.migrate)
        inbox = stack.launch("sms-service", label="inbox")
        for name in ("auth-service", "sms-service", "contacts-service", "gateway"):
            stack.launch(name)
        stack.launch("sms-worker", env={"INBOX_URL": inbox.url})
        yield stack


@pytest.fixture(scope="module")
async def app(stack: Stack) -> AsyncIterator[App]:
    async with App.connect(stack.url("gateway"), stack.services["inbox"].url) as app:
        yield app


@pytest.fixture(scope="module")
async def tables(stack: Stack) -> AsyncIterator[Tables]:
    async with Tables.connect(stack.addresses["POSTGRES_URL"], stack.environ["PHONE_KEY"]) as tables:
        yield tables


@pytest.fixture(autouse=True)
async def running(stack: Stack) -> None:
    """Each test begins with every process, also after one that failed."""
    for database in backups.OWNERS:
        await backups.start(stack, database)


async def status(app: App, method: str, path: str, token: str | None = None, **fields: Any) -> int:
    return (await call(app, method, path, token, **fields)).status


async def new_user(app: App, number: str) -> dict[str, Any]:
    """The tokens of a user who registers, and their id."""
    registered = await register(app, number, password=PASSWORD)
    return {**registered["tokens"], "user_id": str(registered["account"]["user_id"])}


async def log_in(app: App, number: str, password: str) -> Reply:
    return await call(app, "POST", "/v2/sessions", phone=number, password=password)


async def test_accounts_from_an_earlier_moment_bring_back_no_session_no_ticket_and_no_erased_user(
    stack: Stack, app: App, tables: Tables, tmp_path: Path
) -> None:
    number, erased_number, new_number = fresh_number(), fresh_number(), fresh_number()
    user = await new_user(app, number)
    erased = await new_user(app, erased_number)
    ended = (await log_in(app, number, PASSWORD)).body
    asking = await new_user(app, fresh_number())
    await eventually(lambda: is_found(app, asking["access_token"], erased_number), PATIENCE)
    file = await backups.dump(stack, "auth", tmp_path)
    moment = datetime.now(UTC).isoformat()

    assert await status(app, "DELETE", "/v2/sessions", user["access_token"]) == 204
    changed = await call(app, "PUT", "/v2/password", user["access_token"], current=PASSWORD, password=OTHER_PASSWORD)
    assert changed.status == 200, changed.body
    await call(app, "PATCH", "/v2/me", changed.body["access_token"], nickname="after the backup")
    assert await status(app, "DELETE", "/v2/me", erased["access_token"], password=PASSWORD) == 204
    spent = await ticket(app, new_number, "sign_up")
    assert await status(app, "POST", "/v2/accounts", ticket=spent, password=PASSWORD) == 201
    await eventually(lambda: has_gone(tables, int(erased["user_id"])), PATIENCE)

    watch = Stopwatch()
    await backups.stop(stack, "auth")
    await backups.stop(stack, "contacts")
    await backups.restore(stack, "auth", file)
    gone = (await command(stack, "contacts_service", "gone", "--since", moment)).split()
    assert gone == [erased["user_id"]]
    for user_id in gone:
        await command(stack, "auth_service", "erase", user_id, *OPERATOR)
    report = await command(stack, "auth_service", "after-restore", *OPERATOR)
    await backups.start(stack, "auth")
    await backups.start(stack, "contacts")
    await command(stack, "auth_service", "republish")
    watch.report("auth restored to an earlier moment, and safe")

    assert report.startswith("ended ")
    for old in (user, ended, changed.body, asking):
        await eventually(lambda old=old: is_logged_out(app, old), PATIENCE)
        assert await status(app, "POST", "/v2/sessions/refresh", refresh_token=old["refresh_token"]) == 401
    assert await status(app, "POST", "/v2/accounts", ticket=spent, password=PASSWORD) == 403
    assert (await log_in(app, erased_number, PASSWORD)).status == 403
    assert (await log_in(app, number, OTHER_PASSWORD)).status == 403
    logged_in = await log_in(app, number, PASSWORD)
    assert logged_in.status == 200, logged_in.body

    token = logged_in.body["access_token"]
    await call(app, "PATCH", "/v2/me", token, nickname="after the restore")
    await eventually(lambda: is_named(tables, number, "after the restore"), PATIENCE)
    for absent in (erased_number, new_number):
        await eventually(lambda absent=absent: is_not_found(app, token, absent), PATIENCE)
    await tables.age(new_number, COOLDOWN)
    await new_user(app, new_number)


async def test_three_databases_from_three_moments_agree_again(
    stack: Stack, app: App, tables: Tables, tmp_path: Path
) -> None:
    erased_number, kept_number, lost_number, pending_number = (fresh_number() for _ in range(4))
    erased = await new_user(app, erased_number)
    files = {"contacts": await backups.dump(stack, "contacts", tmp_path)}
    await new_user(app, kept_number)
    files["auth"] = await backups.dump(stack, "auth", tmp_path)
    logged = len(stack.services["auth-service"].logs())
    assert await status(app, "DELETE", "/v2/me", erased["access_token"], password=PASSWORD) == 204
    spent = await ticket(app, lost_number, "sign_up")
    assert await status(app, "POST", "/v2/accounts", ticket=spent, password=PASSWORD) == 201
    pending = await call(app, "POST", "/v2/verifications", phone=pending_number, purpose="sign_up")
    entered = {"challenge": pending.body["challenge"], "code": await app.code(pending_number)}
    files["sms"] = await backups.dump(stack, "sms", tmp_path)
    assert await status(app, "POST", "/v2/verifications/check", **entered) == 200

    watch = Stopwatch()
    for database, file in files.items():
        await backups.stop(stack, database)
        await backups.restore(stack, database, file)
    assert backups.erased_in(stack.services["auth-service"].logs()[logged:]) == [erased["user_id"]]
    await command(stack, "auth_service", "erase", erased["user_id"], *OPERATOR)
    await command(stack, "auth_service", "after-restore", *OPERATOR)
    await command(stack, "sms_service", "after-restore")
    for database in files:
        await backups.start(stack, database)
    await command(stack, "auth_service", "republish")
    watch.report("three databases restored to three moments, and safe")

    assert await status(app, "POST", "/v2/verifications/check", **entered) >= 400
    assert await status(app, "POST", "/v2/accounts", ticket=spent, password=PASSWORD) == 403
    assert (await log_in(app, erased_number, PASSWORD)).status == 403
    token = (await log_in(app, kept_number, PASSWORD)).body["access_token"]
    await tables.age(lost_number, COOLDOWN)
    newcomer = await new_user(app, lost_number)
    await eventually(lambda: is_found(app, newcomer["access_token"], kept_number), PATIENCE)
    await eventually(lambda: is_found(app, token, lost_number), PATIENCE)
    await eventually(lambda: is_not_found(app, token, erased_number), PATIENCE)


async def test_codes_from_an_earlier_moment_do_not_work_again_and_no_message_is_sent_twice(
    stack: Stack, app: App, tables: Tables, tmp_path: Path
) -> None:
    number, waiting = fresh_number(), fresh_number()
    sent = await call(app, "POST", "/v2/verifications", phone=number, purpose="sign_up")
    code = await app.code(number)
    await asyncio.to_thread(stack.services["sms-worker"].stop)
    await call(app, "POST", "/v2/verifications", phone=waiting, purpose="sign_up")
    file = await backups.dump(stack, "sms", tmp_path)
    await asyncio.to_thread(stack.services["sms-worker"].start)
    used = await call(app, "POST", "/v2/verifications/check", challenge=sent.body["challenge"], code=code)
    assert used.status == 200, used.body
    message = await app.message(waiting)

    watch = Stopwatch()
    await backups.stop(stack, "sms")
    await backups.restore(stack, "sms", file)
    assert "messages that waited" in await command(stack, "sms_service", "after-restore")
    await backups.start(stack, "sms")
    watch.report("sms restored to an earlier moment, and safe")

    again = await call(app, "POST", "/v2/verifications/check", challenge=sent.body["challenge"], code=code)
    assert again.status >= 400, again.body
    other = await call(
        app, "POST", "/v2/verifications/check", phone=f"+86{waiting}", purpose="sign_up", code=message["code"]
    )
    assert other.status >= 400, other.body
    await eventually(lambda: has_ended(tables, waiting), PATIENCE)
    assert (await app.message(waiting))["id"] == message["id"]
    await new_user(app, fresh_number())


async def test_a_lost_directory_is_built_again_from_the_accounts(stack: Stack, app: App, tables: Tables) -> None:
    number = fresh_number()
    await new_user(app, number)
    asking = await new_user(app, fresh_number())
    await eventually(lambda: is_found(app, asking["access_token"], number), PATIENCE)

    watch = Stopwatch()
    await backups.stop(stack, "contacts")
    await tables.connections["contacts"].execute("delete from directory")
    await backups.start(stack, "contacts")
    await eventually(lambda: is_found(app, asking["access_token"], number), PATIENCE)
    watch.report("contacts lost, and built again by comparison")


async def test_a_directory_from_an_earlier_moment_forgets_who_was_erased_since(
    stack: Stack, app: App, tmp_path: Path
) -> None:
    number = fresh_number()
    erased = await new_user(app, number)
    asking = await new_user(app, fresh_number())
    await eventually(lambda: is_found(app, asking["access_token"], number), PATIENCE)
    file = await backups.dump(stack, "contacts", tmp_path)
    assert await status(app, "DELETE", "/v2/me", erased["access_token"], password=PASSWORD) == 204

    watch = Stopwatch()
    await backups.stop(stack, "contacts")
    await backups.restore(stack, "contacts", file)
    await backups.start(stack, "contacts")
    await eventually(lambda: is_not_found(app, asking["access_token"], number), PATIENCE)
    watch.report("contacts restored to an earlier moment, and corrected by comparison")


async def test_a_lost_redis_loses_counters_and_nothing_else(stack: Stack, app: App) -> None:
    user = await new_user(app, fresh_number())

    watch = Stopwatch()
    await asyncio.to_thread(stack.servers.redis.stop)
    for path in stack.servers.redis.home.glob("appendonlydir/*"):
        path.unlink()
    await asyncio.to_thread(stack.servers.redis.start)
    await eventually(lambda: can_match(app, user), PATIENCE)
    watch.report("Redis lost, and empty again")

    assert await status(app, "GET", "/v2/me", user["access_token"]) == 200
    await new_user(app, fresh_number())


async def test_a_lost_broker_loses_what_it_had_and_no_event_of_an_outbox(stack: Stack, app: App) -> None:
    asking = await new_user(app, fresh_number())
    number = fresh_number()
    proof = await ticket(app, number, "sign_up")

    watch = Stopwatch()
    await asyncio.to_thread(stack.servers.rabbitmq.stop)
    assert await status(app, "POST", "/v2/accounts", ticket=proof, password=PASSWORD) == 201
    home = stack.servers.rabbitmq.home
    shutil.rmtree(home / "mnesia")
    (home / "initialized").unlink()
    await asyncio.to_thread(stack.servers.rabbitmq.start)
    await eventually(lambda: is_found(app, asking["access_token"], number), PATIENCE)
    watch.report("RabbitMQ lost, and a user of the outage is found")

    await new_user(app, fresh_number())


async def test_a_lost_pepper_costs_passwords_and_codes_set_new_ones(stack: Stack, app: App, tables: Tables) -> None:
    number = fresh_number()
    user = await new_user(app, number)

    watch = Stopwatch()
    await asyncio.to_thread(stack.services["auth-service"].stop)
    await asyncio.to_thread(stack.launch, "auth-service", env={"PASSWORD_PEPPERS": "9:" + "5e" * 32})
    watch.report("PASSWORD_PEPPERS lost, and replaced")

    assert (await log_in(app, number, PASSWORD)).status == 403
    assert await status(app, "GET", "/v2/me", user["access_token"]) == 200
    await tables.age(number, COOLDOWN)
    proof = await ticket(app, number, "reset_password")
    assert await status(app, "PUT", "/v2/password", ticket=proof, password=OTHER_PASSWORD) == 200
    assert (await log_in(app, number, OTHER_PASSWORD)).status == 200


async def has_gone(tables: Tables, user_id: int) -> bool:
    query = "select phone_ref is null from directory where user_id = $1"
    return bool(await tables.connections["contacts"].fetchval(query, user_id))


async def is_named(tables: Tables, number: str, nickname: str) -> bool:
    query = "select nickname from directory where phone_ref = $1"
    return bool(await tables.connections["contacts"].fetchval(query, tables.ref(number)) == nickname)


async def has_ended(tables: Tables, number: str) -> bool:
    query = "select state in ('expired', 'failed') from messages where phone_ref = $1"
    return bool(await tables.connections["sms"].fetchval(query, tables.ref(number)))


async def is_logged_out(app: App, tokens: dict[str, Any]) -> bool:
    """A gateway knows a session that it has just seen for some seconds more."""
    return await status(app, "GET", "/v2/me", tokens["access_token"]) == 401


async def is_not_found(app: App, token: str, number: str) -> bool:
    return not await is_found(app, token, number)


async def can_match(app: App, user: dict[str, Any]) -> bool:
    return await status(app, "POST", "/v2/contacts/match", user["access_token"], phones=[fresh_number()]) == 200
