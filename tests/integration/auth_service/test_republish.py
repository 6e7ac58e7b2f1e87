"""``python -m auth_service republish``: thousands of users into one queue, and nothing for the other consumers."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import orjson
import pytest
from support.auth import Auth, fresh_number, fresh_secret

from auth_service.accounts.user_ids import NEW_USER_IDS

USERS = 3_000
INSERT = """
    insert into accounts (user_id, phone, nickname, dialect, client)
    select $1::bigint + n, '+861390' || lpad(($2::int + n)::text, 7, '0'), 'user ' || n, 'tel', 'ios'
    from generate_series(1, $3::int) as n
"""


async def republish(auth: Auth, *words: str, amqp_url: str = "") -> tuple[int | None, str]:
    """The command with these options: its exit status and what it wrote to stderr."""
    environ = {
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "error",
        "POSTGRES_URL": auth.settings.postgres_url,
        "AMQP_URL": amqp_url or auth.settings.amqp_url,
        "AUTH_DATABASE": auth.settings.auth_database,
        "PHONE_KEY": auth.settings.phone_key.get_secret_value(),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", "republish", *words, env=os.environ | environ, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


@pytest.fixture(scope="module")
async def users(auth: Auth) -> list[int]:
    """The ids of thousands of accounts, ascending."""
    first, number = NEW_USER_IDS.start + secrets.randbelow(2**40), secrets.randbelow(10**6)
    await auth.database.execute(INSERT, first, number, USERS)
    return await user_ids(auth)


async def user_ids(auth: Auth, after: int = 0) -> list[int]:
    """The ids of the accounts above ``after``, ascending. Other tests register users meanwhile."""
    query = "select user_id from accounts where user_id > $1 order by user_id"
    return [row["user_id"] for row in await auth.database.fetch(query, after)]


@pytest.fixture
async def queue(auth: Auth) -> AsyncIterator[aio_pika.abc.AbstractQueue]:
    """A queue without bindings."""
    async with await aio_pika.connect(auth.settings.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"test.republish.{secrets.token_hex(4)}", durable=True)
        yield queue
        await queue.delete(if_unused=False, if_empty=False)


async def received(queue: aio_pika.abc.AbstractQueue, count: int) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """The first messages of the queue, which has no more than these."""
    messages: list[aio_pika.abc.AbstractIncomingMessage] = []
    async with asyncio.timeout(60):
        while len(messages) < count:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                messages.append(message)
    assert await queue.get(no_ack=True, fail=False) is None
    return messages


def subjects(messages: list[aio_pika.abc.AbstractIncomingMessage]) -> list[int]:
    return [int(orjson.loads(message.body)["subject"]) for message in messages]


async def test_one_queue_gets_every_user_and_the_other_consumers_nothing(
    auth: Auth, users: list[int], queue: aio_pika.abc.AbstractQueue
) -> None:
    before, everyone = len(auth.listener.events), await user_ids(auth)

    status, errors = await republish(auth, "--to", queue.name)

    assert (status, re.sub(r"\d+ a second", "", errors.splitlines()[-1])) == (
        0, f"republish: done: {len(everyone)} users, "
    )  # fmt: skip
    messages = await received(queue, len(everyone))
    assert subjects(messages) == everyone
    assert {(message.type, message.content_type) for message in messages} == {
        ("auth.user.updated.v1", "application/cloudevents+json")
    }
    registered = await auth.register(fresh_number(), fresh_secret())
    await auth.listener.of_user(registered.account.user_id, 2)
    assert [event for event in auth.listener.events[before:] if event["data"]["user_id"] in set(map(str, users))] == []


async def test_an_interrupted_run_continues_behind_the_last_user(
    auth: Auth, users: list[int], queue: aio_pika.abc.AbstractQueue
) -> None:
    later = await user_ids(auth, after=users[-11])

    assert (await republish(auth, "--to", queue.name, "--after", str(users[-11])))[0] == 0

    assert subjects(await received(queue, len(later))) == later


async def test_only_the_users_who_changed_since_a_time_are_republished(
    auth: Auth, users: list[int], queue: aio_pika.abc.AbstractQueue
) -> None:
    since = await auth.database.fetchval("select now()")
    await auth.database.execute("update accounts set updated_at = now(), version = 9 where user_id = $1", users[5])

    assert (await republish(auth, "--to", queue.name, "--since", since.isoformat()))[0] == 0

    (message,) = await received(queue, 1)
    event: dict[str, Any] = orjson.loads(message.body)
    assert (event["subject"], event["version"]) == (str(users[5]), 9)


async def test_a_queue_that_does_not_exist_is_an_error_of_one_line(auth: Auth, users: list[int]) -> None:
    status, errors = await republish(auth, "--to", "no.such.queue", "--after", str(users[0]))
    assert (status, errors) == (
        1,
        f"republish: stopped: the queue no.such.queue does not exist or is full. Continue with --after {users[0]}\n",
    )


async def test_a_timestamp_that_is_none_is_refused(auth: Auth) -> None:
    status, errors = await republish(auth, "--since", "yesterday")
    assert status == 2
    assert "--since: expected a time such as" in errors
